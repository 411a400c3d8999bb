package storetest

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

// The suite has to be seen failing, which a testing.T can't show without
// failing itself. These run the very cases of Run and RunFaults against a
// testing.TB that takes notes instead.

// Failures returns what each failed case of Run said, by "group/name".
func Failures(t testing.TB, open func() jwtauth.Store) map[string]string {
	failed := make(map[string]string)
	note(t, failed, "users", userChecks(), func() jwtauth.UserStore { return open() })
	note(t, failed, "sessions", sessionChecks(), func() jwtauth.SessionStore { return open() })
	note(t, failed, "revocations", revocationChecks(), func() jwtauth.RevocationStore { return open() })
	note(t, failed, "codes", codeChecks(), func() jwtauth.CodeStore { return open() })
	note(t, failed, "counters", counterChecks(), func() jwtauth.CounterStore { return open() })
	note(t, failed, "audit", auditChecks(), func() jwtauth.AuditStore { return open() })
	note(t, failed, "cursors", cursorChecks(), func() jwtauth.CursorStore { return open() })
	return failed
}

// LimiterFailures is Failures for RunLimiter.
func LimiterFailures(t testing.TB, open func() jwtauth.Limiter) map[string]string {
	failed := make(map[string]string)
	note(t, failed, "limiter", limiterChecks(), open)
	return failed
}

// LimiterCases is Cases for RunLimiter.
func LimiterCases() []string { return caseNames("limiter", limiterChecks()) }

// FaultFailures is Failures for RunFaults.
func FaultFailures(t testing.TB, open func() (store any, breakIt func())) map[string]string {
	failed := make(map[string]string)
	note(t, failed, "faults", faultChecks(), func() breakable {
		s, breakIt := open()
		return breakable{s, breakIt}
	})
	return failed
}

func note[S any](t testing.TB, failed map[string]string, group string, checks []check[S], open func() S) {
	for _, c := range checks {
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() { // of its own, which FailNow ends
			defer close(done)
			c.on(r, open())
		}()
		<-done
		if r.failed {
			failed[group+"/"+c.name] = r.said.String()
		}
	}
}

// Cases names all that Run checks, by "group/name".
func Cases() []string {
	return slices.Concat(
		caseNames("users", userChecks()), caseNames("sessions", sessionChecks()),
		caseNames("revocations", revocationChecks()), caseNames("codes", codeChecks()),
		caseNames("counters", counterChecks()), caseNames("audit", auditChecks()),
		caseNames("cursors", cursorChecks()),
	)
}

func caseNames[S any](group string, checks []check[S]) []string {
	var names []string
	for _, c := range checks {
		names = append(names, group+"/"+c.name)
	}
	return names
}

// FixtureGaps names the fields of the fixtures that have no value, and which
// the suite would therefore not notice to be lost.
func FixtureGaps() []string {
	var gaps []string
	gaps = append(gaps, zeroFields(fullAccount(), "ID", "Version", "CredentialVersion")...)
	gaps = append(gaps, zeroFields(fullSession())...)
	gaps = append(gaps, zeroFields(code("k", 5))...)
	gaps = append(gaps, zeroFields(event(1), "Sequence", "Hash", "Key")...)
	gaps = append(gaps, zeroFields(letter(1))...)
	return gaps
}

// recorder is a testing.TB that fails for itself alone. Only the goroutine of
// the case may use it, as with the original.
type recorder struct {
	testing.TB
	said   strings.Builder
	failed bool
}

func (r *recorder) Helper()      {}
func (r *recorder) Failed() bool { return r.failed }
func (r *recorder) Fail()        { r.failed = true }

func (r *recorder) FailNow() {
	r.failed = true
	runtime.Goexit()
}

func (r *recorder) Logf(format string, args ...any) { fmt.Fprintf(&r.said, format+"\n", args...) }
func (r *recorder) Log(args ...any)                 { fmt.Fprintln(&r.said, args...) }

func (r *recorder) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.Fail()
}

func (r *recorder) Error(args ...any) {
	r.Log(args...)
	r.Fail()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Logf(format, args...)
	r.FailNow()
}

func (r *recorder) Fatal(args ...any) {
	r.Log(args...)
	r.FailNow()
}

func (r *recorder) Skip(args ...any) {
	r.Log(args...)
	runtime.Goexit()
}

func zeroFields(fixture any, except ...string) []string {
	v := reflect.ValueOf(fixture)
	var names []string
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).IsZero() && !slices.Contains(except, name) {
			names = append(names, v.Type().Name()+"."+name)
		}
	}
	return names
}
