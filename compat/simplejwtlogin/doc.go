// Package simplejwtlogin speaks the protocol of Simple JWT Login, the WordPress
// plugin, so that front ends written for it work against Go. It translates and
// does not decide: accounts, tokens, limits and locks are those of a
// [jwtauth.Auth], shared with every other API of it.
//
//	api, err := simplejwtlogin.New(auth, simplejwtlogin.Config{Register: true})
//	compat.Mount(mux, "/wp-json", compat.Site{Auth: auth,
//		Namespaces: map[string]http.Handler{"simple-jwt-login/v1": api.Handler()}})
//
// # What is spoken
//
// Two generations are in use, and [Config].Version chooses: V3 as of 3.6.6,
// which both published SDKs speak, and V4 as of 4.0.0.
//
//	POST     /auth                 log in
//	POST     /auth/refresh         a new token for an older one
//	GET|POST /auth/validate        what a token says, and whose it is
//	POST     /auth/revoke          end its session
//	POST     /users                register (V3 also /register)
//	DELETE   /users                delete the account of a token
//	POST|PUT /user/reset_password  ask for a code, use it
//	GET      /autologin            log a browser in
//	GET      /openapi.json         all of this, as OpenAPI 3.1
//
// Parameters come from the query and the body, the body first. A body may be
// JSON, whatever its type says, urlencoded or multipart, with any method. The
// access token comes from the header, with or without the word Bearer, the
// cookie or the parameter JWT in any case, in this order.
//
// Failures have the members of both generations and of the documents, so that a
// client finds the one it reads:
//
//	{"success":false,"error":m,"data":{"message":m,"errorCode":n,"error_code":n}}
//
// In V3 the status is 400, and 401 for tokens that have expired (14), are not
// valid yet (12) or any more (55). V4 has a status for each number. What the
// original has no number for has that of its HTTP status, in both: 403 for an
// account that is disabled, 413, 429 when a limit is used up, 503.
//
// # What differs, and why
//
// Tokens:
//
//   - They are those of package jwtauth, with kid, typ "at+jwt" and the claims of
//     a session besides the configured members. Tokens of the plugin are not
//     accepted: everybody logs in once more.
//   - They always expire. Without exp in the payload they live as long as the
//     host allows; the original made tokens for ever.
//   - The user is the subject of the token. jwt_login_by, delete_user_by and the
//     names of claims for them don't exist: another claim never says who calls.
//   - A caller chooses no claims, but for those that [Config].CallerClaims names,
//     as text. In V3 anybody could set any claim, an e-mail address for example.
//   - An expired token is 401 in V4 as well; front ends refresh on 401. Numbers
//     tell shape (2), time (12, 14) and revocation (55) apart, and everything else
//     that is wrong with a token is 11.
//   - Algorithms are HS256, RS256 and ES256, one for each key.
//
// Refreshing:
//
//   - Each of the two generations takes JWT or refresh_token; the latter counts if
//     both are there. The answer to a refresh by JWT has no refresh token.
//   - A token that was refreshed dies after [jwtauth.SessionConfig.Grace], 30
//     seconds; in the original it went on. To present it later ends the session,
//     as reuse of a refresh token does.
//   - iat is the time of the refresh. In the original it was that of the login.
//   - Refresh tokens begin with "jr1." and are longer than 64 characters.
//
// Logging in:
//
//   - An unknown user, a wrong password and a locked account are one answer (48).
//   - password_hash is off, works in constant time, and never for an account with
//     more roles than a new one gets.
//   - A parameter twice with different values is refused, and so is JSON with a
//     member twice. PHP took the last one.
//   - There is no JWT in a PHP session.
//
// Registering and deleting:
//
//   - Auth codes are asked for where [Config].Access says so; the original asked
//     for one at POST and DELETE /users unless told otherwise. With a wrong one a
//     registration is refused also where none is asked for.
//   - user_registered, user_activation_key and spam are accepted and not kept:
//     they are not a caller's to set. user_activation_key is shown empty. There is
//     no user_level.
//   - Passwords have to meet the policy of the host; a weak one is 36.
//   - id is a number where it is decimal, in V3; in user it is text.
//   - DELETE answers {message, id} as documented, and success besides.
//   - [jwtauth.RegistrationConfig.Private] answers with the message alone.
//   - A random password is told to nobody; its length can't be chosen.
//
// Resetting:
//
//   - Asking for a code answers the same for an address that nobody has; the
//     original said "Wrong user" (64).
//   - Codes have six digits, live for ten minutes and bear five tries.
//   - [Config].DeliverCode takes the place of the flow that only stored the code:
//     it is stored hashed, so nobody could read it there. Mail and its text are
//     those of [jwtauth.MailConfig].
//   - A password that is too weak is 61. Every token of the account dies.
//
// Auto-login:
//
//   - Redirects lead to allowed origins and nowhere else; an address that is not
//     allowed is ignored. Values of variables are escaped. The original redirects
//     anywhere, by default.
//   - A page asks the person first, unless
//     [jwtauth.AutoLoginConfig.DangerouslySkipConfirmation] is set, since a link
//     can otherwise log somebody into the account of another.
//   - The browser gets the cookies of package jwtauth, not those of WordPress.
//   - Parameters are handed on if they are listed, where the original handed all on
//     that were not.
//   - login_iss (68) does not exist: every token has the same issuer.
//
// Revoking:
//
//   - It ends the session of the token. V4 ended the refresh tokens of all the
//     user's devices: see [jwtauth.Auth.RevokeUser].
//   - data.jwt is text in V3, as documented, and an array in V4.
//   - An expired token is refused.
//
// Addresses and limits:
//
//   - Client-IP and X-Forwarded-For are believed of proxies that
//     [jwtauth.ProxyConfig] trusts. Lists also take prefixes, and IPv6.
//   - Endpoints are limited by default, with X-RateLimit headers.
//   - A method that a route does not answer is 404 with WordPress's rest_no_route;
//     57 is never said.
//
// Messages that the plugin's documents show are those; all others are in our
// words. None has HTML in it.
//
// # What is not offered
//
// API keys of V4: they live for months and carry rights of their own, which the
// tokens here can't without becoming a second mechanism beside sessions. Nor
// second factors (/auth/2fa; see [jwtauth.Hooks].BeforeLogin), sign-in by Google
// and others (/oauth/token; see [jwtauth.Auth.ExchangeSSO]), the list of revoked
// tokens, rules that choose a key by a claim, webhooks of the plugin, and
// X-HTTP-Method-Override.
package simplejwtlogin
