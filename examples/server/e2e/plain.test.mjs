// The npm package simple-jwt-login, unmodified, in Node.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import sdk from "simple-jwt-login";
import { config, start } from "./server.mjs";
import { life, loggedIn } from "./steps.mjs";
import { install } from "./xhr.mjs";

const target = "https://app.example.test/welcome";
const window = install();
let server;

before(async () => {
  server = await start(config(["https://app.example.test"]));
});
after(() => server.stop());

async function call(method, params, code = "") {
  const client = new sdk.SimpleJwtLogin(server.base, "", "AUTH_KEY");
  let got;
  client.withCallback((answer, status) => (got = [answer, status]));
  client[method](params, code);
  return got;
}

test("an account's life", () => life(call, "ada@example.test"));

test("the auto-login URL", async () => {
  const jwt = await loggedIn(call, "grace@example.test");
  new sdk.SimpleJwtLogin(server.base).autologin({ JWT: jwt, redirectUrl: target });
  assert.ok(window.location.href.startsWith(server.base + "/?rest_route=/simple-jwt-login/v1/autologin&JWT="));
  const r = await fetch(window.location.href, { redirect: "manual" });
  assert.equal(r.status, 200); // a page asks before anybody is logged in
  assert.match(r.headers.get("content-type"), /^text\/html/);
  assert.equal(r.headers.getSetCookie().length, 0);
});
