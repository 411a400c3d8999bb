// Package jwtauth answers the routes of the WordPress plugin JWT Authentication
// for WP REST API (1.3.4) and of JWT Auth Pro (0.2.1), below the namespace
// jwt-auth/v1, so that front ends written for them work against Go:
//
//	api, err := wpjwt.New(auth, wpjwt.Config{Mode: wpjwt.Pro})
//	compat.Mount(mux, "/wp-json", compat.Site{Auth: auth,
//		Namespaces: map[string]http.Handler{"jwt-auth/v1": api}})
//	mux.Handle("/articles", api.Authenticate(articles))
//
// Import it under another name, such as wpjwt: the core has this one.
//
//	POST /token                 username, password
//	POST /token/validate        Authorization: Bearer
//	POST /token/refresh         refresh_token                (Pro)
//	POST /token/revoke          Authorization: Bearer        (Pro)
//	GET  /admin/tokens          filters and pages            (Pro)
//	GET, PUT, DELETE /admin/tokens/{id}                      (Pro)
//	GET  /openapi.json          all of this, as OpenAPI 3.1
//
// Accounts, sessions, limits, locks and revocations are those of the core: who
// registers there logs in here, and a token of one is good for the other.
//
// # What differs from the plugins
//
// Tokens:
//
//   - The header has typ at+jwt and a kid, and the payload the claims of the
//     core besides iss, iat, exp and data.user.id. There is no nbf: it said the
//     same as iat.
//   - Tokens live as those of the core, for an hour, unless [Config].TTL says
//     otherwise; the plugins say 7 days.
//   - After a refresh the older access token dies when the grace of
//     [jwtauth.SessionConfig] is over, and a refresh token that is used again
//     later ends the session. Pro up to 0.2.1 only refuses it.
//   - Refresh tokens start with jr1. and are longer than 32 characters.
//
// Login:
//
//   - Whatever is wrong, the code is jwt_auth_failed and the message plain text.
//     The free plugin answers "[jwt_auth] incorrect_password" and the like, with
//     HTML, and so tells who has an account.
//   - A password or a name that is no string is 400 rest_invalid_param, and so
//     is one that is given twice, differently.
//
// Refresh:
//
//   - The answer has the names of both descriptions of Pro: token and
//     access_token, token_type, expires_in, refresh_token and the user.
//   - Without refresh_token, a good access token in the header is taken, as some
//     front ends send it; the answer then has no refresh_token.
//
// Refusals:
//
//   - jwt_auth_invalid_token says only whether a token has expired or is not
//     valid. What exactly is wrong with it is for the log.
//   - jwt_auth_bad_config, jwt_auth_unsupported_algorithm, jwt_auth_bad_request,
//     jwt_auth_encode_failed, jwt_auth_refresh_failed, jwt_auth_revoke_failed,
//     jwt_auth_user_not_found and jwt_auth_expired_refresh_token do not occur: a
//     wrong configuration does not start, a store that does not answer is 503
//     service_unavailable, and a refresh is refused with one code.
//   - The scheme Bearer is accepted in any case (RFC 9110, section 11.1).
//     REDIRECT_HTTP_AUTHORIZATION is a matter of PHP.
//   - With [jwtauth.CookieConfig] on, no cookie is read or set here.
//
// Limits: those of the core for each endpoint, with the X-RateLimit headers on
// every answer of a limited route. Pro 0.2.1 counts everything of an address
// together, and believes X-Forwarded-For from anybody.
//
// Middleware: Pro skips every URL that has "token" in it; [API.Authenticate]
// looks at every request that it is given.
//
// The administrator's list:
//
//   - A row is a session, which a refresh moves on instead of making a new row.
//     Its id is a string, token_family the same id, issued_at the login,
//     last_used_at the last refresh, expires_at the end of the session.
//   - hash and refresh_token_hash are empty, since no token is stored, and
//     user_link is, since there are no pages of authors.
//   - What has been revoked is gone, so the status revoked finds nothing.
//   - username finds a whole name or address, not a part of one.
//   - Times are UTC, as YYYY-MM-DD HH:MM:SS. user_nicename is the nicename.
//   - details, related, usage-history, bulk, metrics, settings and analytics are
//     not there: the audit trail and metrics of the host are.
package jwtauth
