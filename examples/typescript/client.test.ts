// Needs SERVER, the program: go build -o server ./examples/server
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { start } from "../server/e2e/server.mjs";
import { Account, Refused, type ErrorCode } from "./client.js";

const password = "correct horse battery staple";
let server: Awaited<ReturnType<typeof start>>;
let base: string;

before(async () => {
  server = await start({ hash: { memory_kib: 64, time: 1, insecure_for_tests: true }, sessions: { grace_seconds: 0 } });
  base = `${server.base}/wp-json/headlesskey/v1`;
  const { data, error } = await new Account(base).api.POST("/register", {
    body: { username: "ada", email: "ada@example.com", password, name: "Ada Lovelace" },
  });
  assert.equal(error, undefined);
  // A private registration says that something was mailed, and nothing else.
  assert.ok("user" in data);
  assert.equal(data.user.user_login, "ada");
});
after(() => server.stop());

test("log in, read, list sessions, refresh, log out", async () => {
  const ada = new Account(base);
  assert.equal((await ada.login("ada@example.com", password)).display_name, "Ada Lovelace");
  assert.deepEqual((await ada.me()).roles, ["subscriber"]);

  const sessions = await ada.sessions();
  assert.equal(sessions.length, 2); // that of the registration as well
  const mine = sessions.find((s) => s.current);
  assert.ok(mine);
  assert.ok(new Date(mine.expires_at) > new Date());

  assert.deepEqual(await Promise.all([ada.refresh(), ada.refresh()]), [true, true]);
  assert.equal((await ada.sessions()).length, 2);

  await ada.logout();
  assert.equal(await ada.refresh(), false);
  await assert.rejects(ada.me(), (e) => e instanceof Refused && e.code === "missing_token");
});

test("a session that was ended elsewhere", async () => {
  const [here, there] = [new Account(base), new Account(base)];
  await here.login("ada", password);
  await there.login("ada", password);
  const { data } = await here.api.DELETE("/sessions");
  assert.ok(data && data.ended >= 1);
  await assert.rejects(there.me(), (e) => e instanceof Refused && e.code === "jwt_auth_invalid_token");
});

test("an access token that is not accepted any longer is replaced", async () => {
  const ada = new Account(base);
  await ada.login("ada", password);
  let spoiled = 0;
  ada.api.use({
    onRequest({ request, schemaPath }) {
      if (schemaPath === "/me" && spoiled++ === 0) request.headers.set("Authorization", "Bearer old.and.gone");
      return request;
    },
  });
  assert.equal((await ada.me()).user_login, "ada");
  assert.equal(spoiled, 1);
});

test("the document is where the API is", async () => {
  const served = await fetch(`${base}/openapi.json`);
  assert.match(served.headers.get("content-type") ?? "", /^application\/json/);
  const file = await readFile(new URL("../../docs/openapi/native.json", import.meta.url), "utf8");
  assert.ok((await served.text()) === file, "another document is served");
});

test("an error has the codes that the operation can answer", async () => {
  const { api } = new Account(base);
  const wrong = await api.POST("/token", { body: { username: "ada", password: "wrong" } });
  assert.ok(wrong.error);
  // The compiler knows which these are, and refuses one that is none of them.
  switch (wrong.error.code) {
    case "invalid_credentials":
      break;
    // @ts-expect-error: an operation that takes no code from a mail
    case "invalid_code":
    default:
      assert.fail(wrong.error.code);
  }
  assert.equal(wrong.response.status, wrong.error.data.status);
  assert.ok(wrong.response.headers.get("www-authenticate"));

  const code: ErrorCode = "missing_fields";
  const missing = await api.POST("/forgot-password", { body: {} });
  assert.equal(missing.error?.code, code);
  assert.deepEqual(missing.error?.data.params, ["login"]);
});

test("what the document does not have does not compile", () => {
  const { api } = new Account(base);
  // @ts-expect-error: there is no such route
  () => api.GET("/nothing");
  // @ts-expect-error: the password is missing
  () => api.POST("/token", { body: { username: "ada" } });
});
