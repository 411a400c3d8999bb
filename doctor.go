package jwtauth

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Finding is something about a configuration, or its surroundings, that is
// allowed and worth a look.
type Finding struct {
	// Code is stable, for example "limits_off".
	Code string
	// Grave says that accounts are less safe, or that something does not work
	// as it is meant to. What is not grave is advice.
	Grave bool
	// Field is the field of [Config] that is concerned; "" for none.
	Field string
	// Text is a sentence for the operator.
	Text string
}

// String is one line for a log.
func (f Finding) String() string {
	if f.Field == "" {
		return f.Code + ": " + f.Text
	}
	return f.Code + " (" + f.Field + "): " + f.Text
}

// observed is what requests have shown.
type observed struct {
	// forwarded is set once a request came with a header of proxies although
	// none is trusted.
	forwarded atomic.Bool
}

// StoreClock is an optional part of any store: the time by the clock of its
// server. [Auth.Check] compares it with that of [Config].Now.
type StoreClock interface {
	ServerTime(ctx context.Context) (time.Time, error)
}

// Check looks for what is weak or odd in the configuration of this Auth, in what
// requests have shown so far, and in the clock of its stores. It lists what is
// grave first. Nothing is changed and nothing refused: call it at the start and
// log what it says, and show it to operators.
func (a *Auth) Check(ctx context.Context) []Finding {
	findings := slices.Concat(a.checkWeak(), a.checkNodes(), a.checkSurroundings(ctx), a.checkAdvice())
	slices.SortStableFunc(findings, func(x, y Finding) int {
		switch {
		case x.Grave == y.Grave:
			return 0
		case x.Grave:
			return -1
		}
		return 1
	})
	return findings
}

// finding is one rule: whether it applies, and what it says then.
type finding struct {
	applies bool
	Finding
}

func applying(rules []finding) (out []Finding) {
	for _, r := range rules {
		if r.applies {
			out = append(out, r.Finding)
		}
	}
	return out
}

// checkWeak is about settings that make accounts less safe.
func (a *Auth) checkWeak() []Finding {
	cfg := a.cfg
	issuer, _ := url.Parse(cfg.Issuer)
	plain := issuer != nil && issuer.Scheme == "http"
	return applying([]finding{
		{plain && !loopback(issuer.Hostname()), Finding{"issuer_http", true, "Issuer",
			"Tokens travel over http, where everybody on the way can read them."}},
		{looksTyped(cfg.Secret), Finding{"secret_typed", true, "Secret",
			"The secret looks as if somebody had typed it. Make one with: openssl rand -base64 32"}},
		{!cfg.Passwords.params().strong(), Finding{"hash_weak", true, "Passwords",
			"Password hashes are cheaper than OWASP advises (19456 KiB and 2 passes)."}},
		{cfg.Passwords.MinLength < defaultMinLength, Finding{"password_short", true, "Passwords.MinLength",
			"Passwords may be shorter than 8 characters."}},
		{cfg.Limits.Disabled, Finding{"limits_off", true, "Limits.Disabled", "Requests are not limited."}},
		{cfg.Limits.DangerouslyAllowWhenDown, Finding{"limits_fail_open", true, "Limits.DangerouslyAllowWhenDown",
			"Whoever can bring the limiter down has no limit."}},
		{cfg.Development.InsecureExplain, Finding{"explains", true, "Development.InsecureExplain",
			"Refusals tell callers why, also what a store or hook said: for a machine that nobody else reaches."}},
		{cfg.Lockout.Disabled, Finding{"lockout_off", true, "Lockout.Disabled", "Wrong passwords are not counted."}},
		{cfg.AutoLogin.DangerouslySkipConfirmation, Finding{"autologin_unconfirmed", true, "AutoLogin.DangerouslySkipConfirmation",
			"A link alone logs a browser in, also into somebody else's account."}},
		{cfg.AutoLogin.AcceptAccessTokens, Finding{"autologin_access_tokens", true, "AutoLogin.AcceptAccessTokens",
			"Links that log in hold tokens that work any number of times."}},
		{len(a.native.access.weakCodes()) > 0, Finding{"code_short", true, "Access.Codes",
			"A code is short enough to be guessed: 16 random bytes are advised."}},
		{cfg.Mail.Mailer == nil && (!cfg.Recovery.Off || cfg.Verification.Required), Finding{"no_mailer", true, "Mail.Mailer",
			"Mails about passwords and addresses are dropped."}},
	})
}

// checkNodes is about what can't be shared by several processes.
func (a *Auth) checkNodes() []Finding {
	several := a.cfg.Nodes > 1
	memory := a.inMemory()
	_, ownLimits := a.limiter.(*MemoryLimiter)
	return applying([]finding{
		{several && memory, Finding{"memory_store_nodes", true, "Store",
			"There are several nodes, and each has a store in memory of its own: what one revokes the others accept."}},
		{!several && memory, Finding{"memory_store", false, "Store", "A store in memory forgets everything when the process ends."}},
		{several && ownLimits && !a.cfg.Limits.Disabled, Finding{"memory_limiter_nodes", true, "Limits.Limiter",
			fmt.Sprintf("Each node counts for itself: together they allow up to %d times the limit.", a.cfg.Nodes)}},
	})
}

// inMemory reports whether a part of the store is in memory.
func (a *Auth) inMemory() bool {
	for _, part := range []any{a.cfg.Users, a.cfg.Sessions.Store, a.cfg.Revocations, a.cfg.Codes, a.cfg.Counters, a.cfg.Audit.Store} {
		if _, _, is := partOf[*MemoryStore](part); is {
			return true
		}
	}
	return false
}

// checkSurroundings is about what the configuration alone does not show.
func (a *Auth) checkSurroundings(ctx context.Context) []Finding {
	off := a.clockOff(ctx)
	return applying([]finding{
		{a.observed.forwarded.Load(), Finding{"proxy_untrusted", true, "Proxies.Trusted",
			"Requests come with a header of proxies, and none is trusted: all clients behind one share its address and its limits."}},
		{off > a.cfg.Tokens.Leeway+time.Second, Finding{"clock_off", true, "Now",
			fmt.Sprintf("The clock differs from that of the store by %v.", off.Round(time.Second))}},
	})
}

// clockOff is how far the clock is from that of the stores; 0 where they have
// none or don't answer.
func (a *Auth) clockOff(ctx context.Context) (most time.Duration) {
	for _, part := range []any{a.cfg.Users, a.cfg.Sessions.Store, a.cfg.Revocations} {
		clock, p, ok := partOf[StoreClock](part)
		if !ok {
			continue
		}
		if server, err := ask(ctx, p, 1, clock.ServerTime); err == nil {
			most = max(most, a.now().Sub(server).Abs())
		}
	}
	return most
}

// checkAdvice is about settings that are fine for some.
func (a *Auth) checkAdvice() []Finding {
	cfg := a.cfg
	const advisedLength = 15 // NIST SP 800-63B-4, where the password is the only factor
	return applying([]finding{
		{cfg.Passwords.MinLength >= defaultMinLength && cfg.Passwords.MinLength < advisedLength && cfg.Hooks.BeforeLogin == nil,
			Finding{"password_length", false, "Passwords.MinLength", "NIST advises 15 characters where a password is the only factor."}},
		{cfg.Tokens.MaxTTL > maxTokenTTL, Finding{"long_tokens", false, "Tokens.MaxTTL",
			"Access tokens may live for days: services that ask no revocations accept them for as long."}},
		{cfg.Development.Enabled, Finding{"development", false, "Development.Enabled", "Each refusal is in the log at level warn."}},
		{cfg.Audit.Retention == 0, Finding{"audit_forever", false, "Audit.Retention", "Records of the audit trail are kept for good."}},
		{cfg.CORS.Off && cfg.Cookies.Enabled, Finding{"cors_off", false, "CORS.Off", "Pages of other origins can't call, and cookies are on: only pages of this origin can log in."}},
	})
}

// looksTyped reports whether a secret has words or too few different characters
// for one that a machine made.
func looksTyped(secret []byte) bool {
	text := string(secret)
	printable := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
	return printable && (strings.Contains(text, " ") || entropy(secret) < 3 || 2*inWords(text) > len(text))
}

// entropy is in bits a byte, by the frequency of each.
func entropy(b []byte) (bits float64) {
	var counts [256]int
	for _, c := range b {
		counts[c]++
	}
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(b))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// inWords counts the characters in runs of lower-case letters that are long
// enough for words. Random text has few: in base64 one character of ten.
func inWords(text string) (n int) {
	const word = 4
	for _, run := range strings.FieldsFunc(text, func(r rune) bool { return r < 'a' || r > 'z' }) {
		if len(run) >= word {
			n += len(run)
		}
	}
	return n
}
