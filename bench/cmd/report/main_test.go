package main

import (
	"math"
	"testing"
)

const output = `goos: linux
BenchmarkRequest/one_context_value-2   1000   200 ns/op   576 B/op   6 allocs/op
BenchmarkRequest/HS256/jwtauth-2       1000   300 ns/op   944 B/op   6 allocs/op
BenchmarkRequest/HS256/golang-jwt-2    1000   9000 ns/op  10 B/op    60 allocs/op
BenchmarkRequest/HS256/gin-jwt-2       1000   6000 ns/op  10 B/op    60 allocs/op
PASS
`

func TestRatiosFollowFromTheOutput(t *testing.T) {
	var r results
	r.read([]byte(output), 0, "@2")
	r.read([]byte("BenchmarkScaling/jwtauth 10 800 ns/op\n"), 0, "@1")
	r.read([]byte("BenchmarkScaling/jwtauth-2 10 400 ns/op\n"), 0, "@2")
	// What is called "@2" here are the names of the groups without a suffix.
	for name, want := range map[string]float64{
		"one value":     ratio("Request/HS256/jwtauth@2", "Request/one context value@2")(&r) - 1.5,
		"two cores":     ratio("Scaling/jwtauth@1", "Scaling/jwtauth@2")(&r) - 2,
		"fastest peer":  fastest("Request/HS256/jwtauth@2", "Request/HS256/", []string{"golang-jwt@2", "gin-jwt@2", "absent"})(&r) - 0.05,
		"another unit":  unitRatio("allocs/op", "Request/HS256/jwtauth@2", "Request/one context value@2")(&r) - 1,
		"single figure": unit("B/op", "Request/HS256/jwtauth@2")(&r) - 944,
	} {
		if math.Abs(want) > 1e-9 || math.IsNaN(want) {
			t.Errorf("%s is off by %v", name, want)
		}
	}
	if v := ratio("absent", "Scaling/jwtauth@1")(&r); !math.IsNaN(v) {
		t.Errorf("a benchmark that was not run has the ratio %v", v)
	}
}

func TestRatioIsTheMedianOfRounds(t *testing.T) {
	var r results
	for round, v := range []float64{2, 30, 4} {
		r.add("a", "ns/op", round, v)
		r.add("b", "ns/op", round, 2)
	}
	if got := ratio("a", "b")(&r); got != 2 {
		t.Errorf("median ratio %v, want 2", got)
	}
	r.fastest = true
	if got := ratio("a", "b")(&r); got != 1 {
		t.Errorf("ratio of the fastest %v, want 1", got)
	}
}
