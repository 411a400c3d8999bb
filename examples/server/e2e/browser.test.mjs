// The same package in a browser, on a page of another origin, which may call
// because the server lists it.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { config, start } from "./server.mjs";
import { life, loggedIn } from "./steps.mjs";

// patience is how long to wait, in milliseconds: a busy machine needs longer than
// the half minute that is usual.
const patience = 120_000;

let app, server, browser, page;

// serve makes the front end's own server: a page with the client as published.
// exports is what the file, a CommonJS module, expects to find.
async function serve() {
  const file = fileURLToPath(import.meta.resolve("simple-jwt-login/dist/src/simplejwtlogin.js"));
  const client = await readFile(file);
  const http = createServer((request, response) => {
    if (request.url === "/client.js") {
      response.setHeader("Content-Type", "text/javascript");
      response.end(client);
      return;
    }
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end("<!doctype html><title>app</title><script>var exports = {}</script><script src=/client.js></script>");
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return { http, port: http.address().port };
}

before(async () => {
  app = await serve();
  server = await start(config([`http://127.0.0.1:${app.port}`]));
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"], timeout: patience });
  page = await browser.newPage();
  page.setDefaultTimeout(patience);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  app?.http.close();
});

// call runs a method of the client in the page. A request that the browser does
// not let through has no status.
function call(method, params, code = "") {
  return page.evaluate(
    ([base, method, params, code]) => {
      const client = new exports.SimpleJwtLogin(base);
      let got = ["nothing", 0];
      client.withCallback((answer, status) => (got = [answer, status]));
      try {
        client[method](params, code);
      } catch (e) {
        got = [e.name, 0];
      }
      return got;
    },
    [server.base, method, params, code],
  );
}

test("an account's life from a listed origin", async () => {
  await page.goto(`http://127.0.0.1:${app.port}/`);
  await life(call, "ada@example.test");
});

test("a page of another origin is not let through", async () => {
  await page.goto(`http://localhost:${app.port}/`);
  for (const [method, params] of [
    ["authenticate", { email: "ada@example.test", password: "x" }],
    ["validateToken", { JWT: "a.b.c" }],
    ["changePassword", { email: "ada@example.test", new_password: "x", code: "1" }],
    ["deleteUser", { JWT: "a.b.c" }],
  ]) {
    assert.equal((await call(method, params))[1], 0, `${method} was let through`);
  }
});

test("auto-login asks, logs in and leads back", async () => {
  const home = `http://127.0.0.1:${app.port}/`;
  await page.goto(home);
  const jwt = await loggedIn(call, "grace@example.test");
  await page.evaluate(
    ([base, params]) => new exports.SimpleJwtLogin(base).autologin(params),
    [server.base, { JWT: jwt, redirectUrl: home + "welcome" }],
  );
  await page.waitForURL(server.base + "/**");
  assert.equal((await page.context().cookies()).length, 0);
  await page.click("button");
  await page.waitForURL(home + "welcome");
  const names = (await page.context().cookies()).map((c) => c.name).sort();
  assert.deepEqual(names, ["__Host-jwtauth", "__Host-jwtauth-refresh"]); // without lockout there is no device to know
});
