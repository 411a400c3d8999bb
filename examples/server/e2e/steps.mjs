// What a front end does with an account, by the methods of the client. call runs
// one of them and returns what its callback got: the answer and the status.
import assert from "node:assert/strict";
import { authCode } from "./server.mjs";

export const password = "correct horse battery staple";
const newPassword = "another long pass phrase";

// refused checks what the client makes of every status but 200.
function refused([answer, status], want, code) {
  assert.equal(answer.error, "true");
  const body = JSON.parse(answer.response);
  assert.equal(status, want, answer.response);
  assert.equal(body.success, false);
  assert.equal(body.error, body.data.message);
  assert.equal(body.data.errorCode, code, answer.response);
  assert.equal(body.data.error_code, code);
}

function ok([answer, status]) {
  assert.equal(status, 200, JSON.stringify(answer));
  return answer;
}

// life registers an account, uses every method, and deletes it.
export async function life(call, email) {
  // Fields that are not used are null in the client's types.
  const account = { email, password, user_login: null, first_name: "Ada", last_name: "Lovelace", use_ssl: null, user_meta: null };
  refused(await call("registerUser", account), 400, 32);
  refused(await call("registerUser", account, "wrong"), 400, 32);
  const registered = ok(await call("registerUser", account, authCode));
  assert.equal(registered.success, true);
  assert.equal(registered.user.user_email, email);
  assert.equal(registered.user.display_name, "Ada Lovelace");
  assert.deepEqual(registered.roles, ["editor"]); // the code's
  refused(await call("registerUser", account, authCode), 400, 38);

  const login = async (secret) => ok(await call("authenticate", { email, username: null, password: secret, password_hash: null })).data.jwt;
  refused(await call("authenticate", { email, password: "wrong" }), 400, 48);
  const first = await login(password);

  const valid = ok(await call("validateToken", { JWT: first }));
  assert.equal(valid.data.user.user_email, email);
  assert.deepEqual(valid.data.roles, ["editor"]);
  assert.equal(valid.data.jwt[0].token, first);
  assert.equal(valid.data.jwt[0].payload.email, email);
  const forged = first.replace(/\.(.)([^.]*)$/, (_, c, rest) => "." + (c === "A" ? "B" : "A") + rest);
  refused(await call("validateToken", { JWT: forged }), 400, 11);
  refused(await call("validateToken", { JWT: first + "x" }), 400, 2);

  const second = ok(await call("refreshToken", { JWT: first })).data.jwt;
  assert.notEqual(second, first);
  ok(await call("validateToken", { JWT: second }));
  refused(await call("validateToken", { JWT: first }), 401, 55); // dead after the refresh

  const sent = ok(await call("resetPassword", { email }));
  assert.equal(sent.message, "Reset password email has been sent.");
  const changed = ok(await call("changePassword", { email, new_password: newPassword, code: null, JWT: second }));
  assert.equal(changed.message, "User password has been changed.");
  refused(await call("validateToken", { JWT: second }), 401, 55); // as every token from before

  refused(await call("authenticate", { email, password }), 400, 48);
  const third = await login(newPassword);
  const revoked = ok(await call("revokeToken", { JWT: third }));
  assert.equal(revoked.success, true);
  refused(await call("validateToken", { JWT: third }), 401, 55);

  const deleted = ok(await call("deleteUser", { JWT: await login(newPassword) }));
  assert.equal(deleted.message, "User was successfully deleted.");
  assert.equal(deleted.id, registered.id);
  refused(await call("authenticate", { email, password: newPassword }), 400, 48);
}

// loggedIn registers an account and returns its token.
export async function loggedIn(call, email) {
  ok(await call("registerUser", { email, password }, authCode));
  return ok(await call("authenticate", { email, password })).data.jwt;
}
