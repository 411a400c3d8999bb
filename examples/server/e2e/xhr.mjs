// What the client needs of a browser: XMLHttpRequest, and a window that it can
// lead elsewhere. The client sends its requests synchronously, so each is made
// by a process of its own.
import { execFileSync } from "node:child_process";

const send = `
const { method, url, headers, body } = JSON.parse(process.argv[1]);
fetch(url, { method, headers, body, redirect: "manual" })
  .then(async (r) => process.stdout.write(JSON.stringify({ status: r.status, text: await r.text() })))
  .catch(() => process.stdout.write(JSON.stringify({ status: 0, text: "" })));
`;

export class XMLHttpRequest {
  readyState = 0;
  status = 0;
  responseText = "";
  #request = { headers: {} };

  open(method, url) {
    this.#request.method = method;
    this.#request.url = url;
  }

  setRequestHeader(name, value) {
    this.#request.headers[name] = value;
  }

  send(body) {
    if (body !== null) this.#request.body = body;
    const answer = JSON.parse(execFileSync(process.execPath, ["-e", send, JSON.stringify(this.#request)], { encoding: "utf8" }));
    this.status = answer.status;
    this.responseText = answer.text;
    this.readyState = 4;
    this.onreadystatechange();
  }
}

// install gives the client its globals and returns the window.
export function install() {
  globalThis.XMLHttpRequest = XMLHttpRequest;
  globalThis.window = { location: { href: "" } };
  return globalThis.window;
}
