// Package bench measures jwtauth beside other libraries: the same tokens, the
// same claims, the same checks, in one run. It is a module of its own, so that
// none of them becomes a dependency of anybody, and it ships nothing.
//
//	go run ./cmd/report            the tables, and the ratios of docs/performance.md
//	go test -bench Request ./...   one of them
package bench
