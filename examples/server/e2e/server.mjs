// Starts examples/server for a test, from the binary that SERVER names.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const authCode = "k7Jq2ZxW9pLr4TnV8sDf3A";

// config is a config file with everything that the client calls switched on.
export function config(origins = []) {
  return {
    limits: { disabled: true },
    lockout: { disabled: true },
    hash: { memory_kib: 64, time: 1, insecure_for_tests: true },
    sessions: { grace_seconds: 0 },
    auth_codes: [{ code: authCode, role: "editor", expires: "2090-01-01T00:00:00Z" }],
    cors: { origins },
    redirects: origins,
    autologin: { target_from_request: true },
    simple_jwt_login: {
      register: true,
      delete: true,
      reset_password: true,
      reset_with_jwt: true,
      autologin: true,
      require_auth_code: ["register"],
      payload: ["iat", "exp", "email", "id", "site", "username"],
      ttl_minutes: 60,
      refresh_ttl_minutes: 20160,
      allow_ips: "127.*.*.*",
    },
    jwt_auth: { mode: "pro" },
  };
}

// start runs a server and returns its address and how to stop it.
export async function start(settings) {
  const binary = process.env.SERVER;
  if (!binary) throw new Error("SERVER must name the program: go build -o server ./examples/server");
  const folder = await mkdtemp(join(tmpdir(), "jwtauth-e2e-"));
  const file = join(folder, "config.json");
  await writeFile(file, JSON.stringify(settings));
  const server = spawn(binary, ["-addr", "127.0.0.1:0", "-config", file, "-mail", join(folder, "mail")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const stop = async () => {
    const ended = new Promise((resolve) => server.once("exit", resolve));
    if (server.exitCode === null) {
      server.kill("SIGTERM");
      await ended;
    }
    await rm(folder, { recursive: true, force: true });
  };
  for await (const line of createInterface({ input: server.stdout })) {
    const found = line.match(/^listening on (http:\S+)/);
    if (found) {
      server.stdout.resume();
      return { base: found[1], stop };
    }
  }
  await stop();
  throw new Error("the server did not start");
}
