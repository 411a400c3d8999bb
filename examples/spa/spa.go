// Package spa is a browser front end in one HTML file: register, log in, devices,
// sign out everywhere, with several tabs open, in cookie mode and in bearer mode.
// Try it with
//
//	go run ./examples/server -spa
//
// and take what you need from index.html, which works from any server that has the
// API on the same origin. The headers below matter as much as the page: they are
// what is left if somebody finds a hole in it.
package spa

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"strings"
)

//go:embed index.html
var file string

// Handler serves the page. api is the path of the native API on the same origin,
// such as "/auth".
func Handler(api string) http.Handler {
	page := strings.Replace(file, `data-api="/wp-json/headlesskey/v1"`, `data-api="`+html.EscapeString(api)+`"`, 1)
	policy := policy(page)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		_, _ = io.WriteString(w, page) // a client that is gone needs no page
	})
}

// policy allows the page's own script and style, by their hashes, and requests to
// its own origin. No text becomes HTML (Trusted Types), no form is sent, and no
// other page shows this one in a frame.
func policy(page string) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src '" + hash(page, `<script type="module">`, "</script>") + "'",
		"style-src '" + hash(page, "<style>", "</style>") + "'",
		"connect-src 'self'",
		"img-src data:", // the empty icon
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}

// hash returns the source expression of what is between two tags.
func hash(page, open, end string) string {
	_, rest, _ := strings.Cut(page, open)
	text, _, _ := strings.Cut(rest, end)
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
