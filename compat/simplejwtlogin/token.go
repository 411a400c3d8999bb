package simplejwtlogin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/strictjson"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// findToken returns the access token of a request, "" if it has none: from the
// header, else the cookie, else the parameter.
func (c *call) findToken() (string, error) {
	from := c.api.cfg.Tokens
	if !from.NoHeader {
		if token := headerToken(c.r.Header, from.Header, from.RequireBearer); token != "" {
			return token, nil
		}
	}
	if from.Cookie != "" {
		if token, err := c.cookieToken(from.Cookie); token != "" {
			return token, err
		}
	}
	if from.NoParameter {
		return "", nil
	}
	return c.in.fold(from.Parameter)
}

// headerToken reads a header with a token, alone or behind the word Bearer. Any
// other scheme is not for us, and neither are two headers.
func headerToken(h http.Header, name string, requireBearer bool) string {
	values := h.Values(name)
	if len(values) != 1 {
		return ""
	}
	fields := strings.Fields(values[0])
	switch {
	case len(fields) == 2 && strings.EqualFold(fields[0], "Bearer"):
		return fields[1]
	case len(fields) == 1 && !requireBearer && !strings.EqualFold(fields[0], "Bearer"):
		return fields[0]
	}
	return ""
}

// cookieToken reads a cookie, which a browser sends along whoever made it do so:
// pages of other sites are refused.
func (c *call) cookieToken(name string) (string, error) {
	cookies := c.r.CookiesNamed(name)
	if len(cookies) != 1 || cookies[0].Value == "" {
		return "", nil
	}
	return cookies[0].Value, c.api.auth.CheckOrigin(c.r)
}

// claims are what the tokens of this dialect say besides what every token does.
func (api *API) claims(ctx context.Context, u jwtauth.User, _ jwtauth.Session) (map[string]any, error) {
	claims := map[string]any{}
	for name, value := range callerClaims(ctx) {
		claims[name] = value
	}
	for _, name := range api.cfg.Payload {
		switch name {
		case "email":
			claims[name] = u.Email
		case "id":
			claims[name] = wprest.ID(u.ID)
		case "site":
			claims[name] = api.cfg.Site
		case "username":
			claims[name] = u.Login
		}
	}
	return claims, nil
}

// Bounds on what a caller can put into its own token.
const (
	maxCallerClaims = 16
	maxCallerBytes  = 2048
)

type callerKey struct{}

func callerClaims(ctx context.Context) map[string]any {
	claims, _ := ctx.Value(callerKey{}).(map[string]any)
	return claims
}

// withCallerClaims puts the allowed ones of given into the context, for claims.
func (c *call) withCallerClaims(given map[string]string) (context.Context, error) {
	claims, size := map[string]any{}, 0
	for _, name := range c.api.cfg.CallerClaims {
		if value, ok := given[name]; ok {
			claims[name] = value
			size += len(value)
		}
	}
	if size > maxCallerBytes {
		return nil, &failure{number: http.StatusBadRequest, status: http.StatusBadRequest, message: "The payload is too large."}
	}
	return context.WithValue(c.r.Context(), callerKey{}, claims), nil
}

// segment decodes the header (0) or the payload (1) of a token, nil where it is
// no JSON object.
func segment(token string, i int) json.RawMessage {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		return nil
	}
	if _, err := strictjson.Parse(data, jsonLimits, nil); err != nil {
		return nil
	}
	return data
}
