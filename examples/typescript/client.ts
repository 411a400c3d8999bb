// A client of the API: requests and answers have the types of its OpenAPI
// document, from which schema.d.ts is generated. It keeps the tokens, and gets new
// ones when the access token has expired.
import createClient, { type Client, type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type Tokens = components["schemas"]["TokenResponse"];
export type User = components["schemas"]["User"];
export type Session = components["schemas"]["Session"];
export type ErrorCode = components["schemas"]["ErrorCode"];

// Refused is an answer that refuses. Its code says why.
export class Refused<Code extends string = string> extends Error {
  constructor(readonly body: components["schemas"]["Error"] & { code: Code }) {
    super(body.message);
  }
  get code(): Code {
    return this.body.code;
  }
}

export class Account {
  readonly api: Client<paths>;
  #tokens: Tokens | undefined;
  #refreshing: Promise<boolean> | undefined;

  // base is where the API is mounted, such as https://auth.example.com/auth.
  constructor(base: string) {
    this.api = createClient<paths>({ baseUrl: base });
    this.api.use(this.#bearer());
  }

  async login(username: string, password: string): Promise<User> {
    const { data, error } = await this.api.POST("/token", { body: { username, password } });
    if (error) throw new Refused(error);
    this.#tokens = data;
    return data.user;
  }

  async me(): Promise<User> {
    const { data, error } = await this.api.GET("/me");
    if (error) throw new Refused(error);
    return data;
  }

  async sessions(): Promise<Session[]> {
    const { data, error } = await this.api.GET("/sessions");
    if (error) throw new Refused(error);
    return data.sessions;
  }

  // refresh says whether there are new tokens. Calls at the same time share one
  // request: a refresh token works once.
  refresh(): Promise<boolean> {
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #refresh(): Promise<boolean> {
    const refresh_token = this.#tokens?.refresh_token;
    if (refresh_token === undefined) return false;
    const { data, error } = await this.api.POST("/token/refresh", { body: { refresh_token } });
    if (data) {
      this.#tokens = data;
      return true;
    }
    if (error.code !== "jwt_auth_invalid_refresh_token") throw new Refused(error);
    this.#tokens = undefined; // logged out
    return false;
  }

  async logout(): Promise<void> {
    const { error } = await this.api.POST("/token/revoke", { body: {} });
    if (error) throw new Refused(error);
    this.#tokens = undefined;
  }

  // #bearer sends the access token, and once more with a new one where it is not
  // accepted any longer.
  #bearer(): Middleware {
    return {
      onRequest: ({ request }) => {
        if (this.#tokens) request.headers.set("Authorization", `Bearer ${this.#tokens.token}`);
        return request;
      },
      onResponse: async ({ request, response, schemaPath }) => {
        if (response.status !== 401 || request.method !== "GET" || schemaPath.startsWith("/token")) return response;
        if (!(await this.refresh())) return response;
        const again = new Request(request);
        again.headers.set("Authorization", `Bearer ${this.#tokens?.token}`);
        return fetch(again);
      },
    };
  }
}
