package main

import (
	"fmt"
	"math"
	"os"
	"text/tabwriter"
)

// goal is a line of the table of figures to reach.
type goal struct {
	what string
	most float64 // or least, if atLeast
	get  func(r *results) float64
	text string // how the goal is written
	less bool   // at least instead of at most
}

var peers = []string{"golang-jwt", "chi-jwtauth", "auth0", "gin-jwt", "echo-jwt", "go-pkgz"}

func goals() []goal {
	var list []goal
	for i, alg := range []string{"HS256", "RS256", "ES256"} {
		fraction := []float64{17, 70, 160}[i]
		list = append(list,
			goal{what: "Require, token seen before, " + alg, most: 1.30, text: "1.30 × one context value",
				get: ratio("Request/"+alg+"/jwtauth", "Request/one context value")},
			goal{what: "the same, allocations", most: 1, text: "1.00 × one context value",
				get: unitRatio("allocs/op", "Request/"+alg+"/jwtauth", "Request/one context value")},
			goal{what: "the same, beside the fastest peer", most: 1 / fraction, text: fmt.Sprintf("1/%.0f", fraction),
				get: fastest("Request/"+alg+"/jwtauth", "Request/"+alg+"/", peers)})
	}
	list = append(list,
		goal{what: "Verify, first time, HS256", most: 0.30, text: "0.30 × golang-jwt", get: ratio("VerifyFirst/HS256/jwtauth", "VerifyFirst/HS256/golang-jwt")},
		goal{what: "Verify, first time, RS256", most: 1.03, text: "1.03 × bare signature", get: ratio("VerifyFirst/RS256/jwtauth", "VerifyFirst/RS256/bare signature")},
		goal{what: "Verify, first time, ES256", most: 1.03, text: "1.03 × bare signature", get: ratio("VerifyFirst/ES256/jwtauth", "VerifyFirst/ES256/bare signature")},
		goal{what: "Issue, HS256", most: 0.35, text: "0.35 × golang-jwt", get: ratio("Issue/HS256/jwtauth", "Issue/HS256/golang-jwt")},
		goal{what: "Issue, RS256", most: 1.05, text: "1.05 × bare signature", get: ratio("Issue/RS256/jwtauth", "Issue/RS256/bare signature")},
		goal{what: "Issue, ES256", most: 1.05, text: "1.05 × bare signature", get: ratio("Issue/ES256/jwtauth", "Issue/ES256/bare signature")},
		goal{what: "from 1 to 2 cores", most: 1.7, text: "1.7 × throughput", less: true, get: ratio("Scaling/jwtauth@1", "Scaling/jwtauth@2")},
		goal{what: "limiter, one key", most: 1.3, text: "1.3 × x/time/rate", get: ratio("Limiter/one key/jwtauth", "Limiter/one key/x-time-rate")},
		goal{what: "limiter, a million keys", most: 1, text: "1.0 × fastest peer",
			get: fastest("Limiter/million keys/jwtauth", "Limiter/million keys/", []string{"ulule", "httprate", "throttled", "go-limiter"})},
		goal{what: "limiter, bytes a key", most: 160, text: "160", get: unit("bytes/key", "Limiter/million keys/jwtauth")},
		goal{what: "revocation check, a million entries", most: 1.2, text: "1.2 × sharded map", get: ratio("Revoked/jwtauth", "Revoked/sharded map")},
		goal{what: "revocation, bytes an entry", most: 80, text: "80", get: unit("bytes/key", "Revoked/jwtauth")},
		goal{what: "p99 of others while logins flood", most: 3, text: "3 × idle", get: func(r *results) float64 {
			return unit("µs-flood-p99", "LoginFlood/jwtauth")(r) / unit("µs-idle-p99", "LoginFlood/jwtauth")(r)
		}},
		goal{what: "memory of the flood, MiB", most: 4 * 19, text: "4 hashes (76)", get: unit("MiB-more", "LoginFlood/jwtauth")},
		goal{what: "live sessions, bytes each", most: 150, text: "150", get: unit("bytes/session", "Sessions")},
		goal{what: "hit ratio under a flood of valid tokens, %", most: 60, text: "60", less: true, get: unit("%hits", "TokenCache/flood")},
	)
	for _, n := range []string{"1000", "10000", "100000", "1000000"} {
		list = append(list, goal{what: "Verify, " + n + " live tokens", most: 1.05, text: "1.05 × each new", get: ratio("Growth/"+n+" tokens", "Growth/each new")})
	}
	return list
}

// ratio is the median of the ratios of the rounds.
func ratio(a, b string) func(*results) float64 { return unitRatio("ns/op", a, b) }

func unitRatio(unit, a, b string) func(*results) float64 {
	return func(r *results) float64 {
		of, to := r.values[a][unit], r.values[b][unit]
		if r.fastest {
			return least(of) / least(to)
		}
		var list []float64
		for i := range min(len(of), len(to)) {
			list = append(list, of[i]/to[i])
		}
		return median(list)
	}
}

func least(list []float64) float64 {
	least := math.NaN()
	for _, v := range list {
		if !(v >= least) && !math.IsNaN(v) {
			least = v
		}
	}
	return least
}

func unit(unit, name string) func(*results) float64 {
	return func(r *results) float64 { return median(r.values[name][unit]) }
}

// fastest is the largest of the ratios to several others.
func fastest(a, prefix string, others []string) func(*results) float64 {
	return func(r *results) float64 {
		most := math.NaN()
		for _, other := range others {
			if v := ratio(a, prefix+other)(r); !(v <= most) && !math.IsNaN(v) {
				most = v
			}
		}
		return most
	}
}

func (r *results) ratios() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tgoal\tmeasured\t")
	for _, g := range goals() {
		v := g.get(r)
		if math.IsNaN(v) {
			continue
		}
		verdict := "missed"
		if v <= g.most && !g.less || v >= g.most && g.less {
			verdict = "reached"
		}
		measured := fmt.Sprintf("%.2f", v)
		if v < 0.1 {
			measured = fmt.Sprintf("1/%.0f", 1/v)
		}
		bound := "≤ "
		if g.less {
			bound = "≥ "
		}
		fmt.Fprintf(w, "%s\t%s%s\t%s\t%s\n", g.what, bound, g.text, measured, verdict)
	}
	w.Flush()
}
