package jwtauth

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one field of a [Config] as it is in effect.
type Setting struct {
	// Section is the part of the Config, such as "Tokens"; "Service" for the
	// fields that are in none.
	Section string
	// Name is the path of the field, such as "Tokens.TTL". A [Finding] names
	// fields in the same way.
	Name string
	// Value is for people. Of a secret it says whether there is one, of a
	// function or store which kind it is.
	Value string
}

// Settings describes the configuration with every default filled in, in the order
// of [Config], to be shown to operators. No secret is in it: no key, hash or code,
// and of addresses of pages no query. Now and Logger are left out.
//
// Each field is described by hand, so that one which is added to Config shows
// nothing until somebody has thought of what it may show.
func (a *Auth) Settings() []Setting {
	cfg := a.cfg
	return slices.Concat(a.serviceSettings(), cfg.Tokens.settings(), cfg.Passwords.settings(), cfg.Registration.settings(),
		cfg.Sessions.settings(), cfg.accountSettings(), cfg.Mail.settings(), cfg.SSO.settings(), cfg.AutoLogin.settings(),
		cfg.browserSettings(), a.accessSettings(), cfg.proxySettings(), cfg.Limits.settings(), cfg.Lockout.settings(),
		cfg.Audit.settings(), cfg.Hooks.settings(), cfg.Development.settings())
}

// section makes settings of pairs of a name and a value.
func section(name string, pairs ...string) []Setting {
	path := name + "."
	if name == "Service" {
		path = ""
	}
	list := make([]Setting, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, Setting{name, path + pairs[i], pairs[i+1]})
	}
	return list
}

func (a *Auth) serviceSettings() []Setting {
	cfg := a.cfg
	return section("Service",
		"Issuer", cfg.Issuer, "Audience", listed(cfg.Audience), "Keys", describeKeys(cfg.Keys.Keys()),
		"Secret", "set", "OldSecrets", howMany(len(cfg.OldSecrets), "accepted"),
		"Store", kind(cfg.Store), "Users", kind(cfg.Users), "Revocations", kind(cfg.Revocations),
		"Codes", kind(cfg.Codes), "Counters", kind(cfg.Counters),
		"StoreTimeout", cfg.StoreTimeout.String(), "Nodes", orUnknown(cfg.Nodes), "Metrics", kind(cfg.Metrics),
		"InsecureAllowHTTP", yes(cfg.InsecureAllowHTTP))
}

func describeKeys(keys []KeyInfo) string {
	var list []string
	for _, k := range keys {
		role := "verifies"
		if k.Signing {
			role = "signs"
		}
		list = append(list, fmt.Sprintf("%s %s (%s)", k.Algorithm, k.ID, role))
	}
	return listed(list)
}

func (cfg TokenConfig) settings() []Setting {
	cache := "none"
	if cfg.CacheSize >= 0 {
		cache = strconv.Itoa(cmp.Or(cfg.CacheSize, defaultCacheSize))
	}
	return section("Tokens", "TTL", lasting(cfg.TTL), "MaxTTL", lasting(cfg.MaxTTL), "Leeway", lasting(cfg.Leeway), "CacheSize", cache)
}

func (cfg PasswordConfig) settings() []Setting {
	var verifiers []string
	for _, v := range cfg.Verifiers {
		verifiers = append(verifiers, kind(v))
	}
	return section("Passwords",
		"Memory", fmt.Sprintf("%d KiB", cfg.Memory), "Time", strconv.Itoa(cfg.Time), "Parallelism", strconv.Itoa(cfg.Parallelism),
		"InsecureForTests", yes(cfg.InsecureForTests), "Verifiers", listed(verifiers), "DearestHash", set(cfg.DearestHash != ""),
		"MinLength", fmt.Sprintf("%d characters", cfg.MinLength), "Blocked", set(cfg.Blocked != nil),
		"MaxConcurrent", strconv.Itoa(cfg.MaxConcurrent), "MaxQueue", strconv.Itoa(cfg.MaxQueue), "MaxWait", lasting(cfg.MaxWait))
}

func (cfg RegistrationConfig) settings() []Setting {
	return section("Registration", "Closed", yes(cfg.Closed), "Private", yes(cfg.Private), "Roles", listed(cfg.Roles),
		"EmailDomains", orAll(cfg.EmailDomains))
}

func (cfg SessionConfig) settings() []Setting {
	return section("Sessions", "Store", kind(cfg.Store), "Lifetime", lasting(cfg.Lifetime), "Idle", lasting(cfg.Idle),
		"Grace", lasting(cfg.Grace), "MaxPerUser", orUnlimited(cfg.MaxPerUser), "EvictOldest", yes(cfg.EvictOldest),
		"RefreshTokensOnly", yes(cfg.RefreshTokensOnly))
}

func (cfg Config) accountSettings() []Setting {
	r, v := cfg.Recovery, cfg.Verification
	return slices.Concat(
		section("Accounts", "ReauthToDelete", yes(cfg.Accounts.ReauthToDelete), "NoSelfDelete", yes(cfg.Accounts.NoSelfDelete)),
		section("Recovery", "URL", page(r.URL), "LinkTTL", lasting(r.LinkTTL), "RecentLogin", lasting(r.RecentLogin), "Off", yes(r.Off)),
		section("Verification", "Required", yes(v.Required), "URL", page(v.URL), "TTL", lasting(v.TTL)))
}

func (cfg MailConfig) settings() []Setting {
	return section("Mail", "Mailer", kind(cfg.Mailer), "Site", cfg.Site, "Templates", listed(slices.Sorted(maps.Keys(cfg.Templates))),
		"Queue", strconv.Itoa(cfg.Queue), "Timeout", lasting(cfg.Timeout), "Attempts", strconv.Itoa(cfg.Attempts))
}

func (cfg SSOConfig) settings() []Setting {
	var sites []string
	for _, s := range cfg.Sites {
		text := s.Key + " (" + s.Issuer
		if s.Create {
			text += ", makes accounts"
		}
		if s.LinkVerifiedEmail {
			text += ", links verified addresses"
		}
		sites = append(sites, text+")")
	}
	return section("SSO", "Sites", listed(sites))
}

func (cfg AutoLoginConfig) settings() []Setting {
	return section("AutoLogin", "Origins", listed(cfg.Origins), "Target", page(cfg.Target), "TargetFromRequest", yes(cfg.TargetFromRequest),
		"AcceptAccessTokens", yes(cfg.AcceptAccessTokens), "DangerouslySkipConfirmation", yes(cfg.DangerouslySkipConfirmation))
}

func (cfg Config) browserSettings() []Setting {
	origins := listed(cfg.CORS.Origins)
	if len(cfg.CORS.Origins) == 0 && !cfg.CORS.Off && !cfg.Cookies.Enabled {
		origins = "all, without cookies"
	}
	return slices.Concat(
		section("Cookies", "Enabled", yes(cfg.Cookies.Enabled), "Strict", yes(cfg.Cookies.Strict)),
		section("CORS", "Off", yes(cfg.CORS.Off), "Origins", origins))
}

func (a *Auth) accessSettings() []Setting {
	checked := a.native.access // a copy: the map of the Config is the host's
	var rules []string
	for _, name := range slices.Sorted(maps.Keys(checked.rules)) {
		rules = append(rules, name+": "+checked.rules[name].describe())
	}
	return section("Access", "Endpoints", listedBy("; ", rules), "AllowIPs", orAll(a.cfg.Access.AllowIPs), "Codes", howMany(len(checked.codes), "set"))
}

// describe says what a rule asks for.
func (rule AccessRule) describe() string {
	var parts []string
	for _, p := range []struct {
		applies bool
		text    string
	}{
		{rule.Off, "off"}, {rule.Authenticated, "a token"}, {len(rule.Roles) > 0, "role " + strings.Join(rule.Roles, " or ")},
		{len(rule.AllowIPs) > 0, "from " + strings.Join(rule.AllowIPs, ", ")}, {rule.Code, "a code"},
	} {
		if p.applies {
			parts = append(parts, p.text)
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "open")
}

func (cfg Config) proxySettings() []Setting {
	return section("Proxies", "Trusted", listed(cfg.Proxies.Trusted), "Header", cmp.Or(cfg.Proxies.Header, headerXFF))
}

func (l LimitConfig) settings() []Setting {
	limiter := any(l.Limiter)
	if called, is := limiter.(*calledLimiter); is {
		limiter = called.Limiter
	}
	return section("Limits", "Disabled", yes(l.Disabled), "Login", l.Login.describe(), "Register", l.Register.describe(),
		"Validate", l.Validate.describe(), "Refresh", l.Refresh.describe(), "Revoke", l.Revoke.describe(), "Account", l.Account.describe(),
		"Forgot", l.Forgot.describe(), "Reset", l.Reset.describe(), "SSO", l.SSO.describe(), "Limiter", kind(limiter),
		"DangerouslyAllowWhenDown", yes(l.DangerouslyAllowWhenDown))
}

func (r Rule) describe() string {
	if r.off() {
		return "none"
	}
	return fmt.Sprintf("%d in %s", r.Limit, lasting(r.Per))
}

func (cfg LockoutConfig) settings() []Setting {
	tiers := func(list []LockoutTier) string {
		var texts []string
		for _, t := range list {
			texts = append(texts, Rule{t.Failures, t.Per}.describe())
		}
		return listed(texts)
	}
	return section("Lockout", "Disabled", yes(cfg.Disabled), "Account", tiers(cfg.Account), "Device", tiers(cfg.Device), "Source", tiers(cfg.Source))
}

func (cfg AuditConfig) settings() []Setting {
	retention := "for good"
	if cfg.Retention > 0 {
		retention = lasting(cfg.Retention)
	}
	return section("Audit", "Store", kind(cfg.Store), "Retention", retention, "Roles", listed(cfg.Roles),
		"Refusals", strconv.Itoa(cfg.Refusals)+" a minute", "SkipReads", yes(cfg.SkipReads))
}

func (h Hooks) settings() []Setting {
	return section("Hooks", "BeforeLogin", set(h.BeforeLogin != nil), "BeforeRegister", set(h.BeforeRegister != nil),
		"PasswordPolicy", set(h.PasswordPolicy != nil), "AfterLogin", set(h.AfterLogin != nil), "Claims", set(h.Claims != nil),
		"Limit", set(h.Limit != nil), "LoginResponse", set(h.LoginResponse != nil), "UserView", set(h.UserView != nil), "OnEvent", set(h.OnEvent != nil))
}

func (cfg DevelopmentConfig) settings() []Setting {
	return section("Development", "Enabled", yes(cfg.Enabled), "InsecureExplain", yes(cfg.InsecureExplain))
}

// The words of values.

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func set(is bool) string {
	if is {
		return "set"
	}
	return "none"
}

func howMany(n int, what string) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n) + " " + what
}

func orUnknown(n int) string {
	if n == 0 {
		return "unknown"
	}
	return strconv.Itoa(n)
}

func orUnlimited(n int) string {
	if n == 0 {
		return "no limit"
	}
	return strconv.Itoa(n)
}

func listed(list []string) string { return listedBy(", ", list) }

func listedBy(separator string, list []string) string {
	return cmp.Or(strings.Join(list, separator), "none")
}

func orAll(list []string) string {
	if len(list) == 0 {
		return "all"
	}
	return listed(list)
}

// page is an address without its query, which may hold anything.
func page(address string) string {
	before, _, cut := strings.Cut(address, "?")
	if cut {
		before += "?…"
	}
	return cmp.Or(before, "none")
}

// kind is the type behind an interface, and nothing of what it holds.
func kind(part any) string {
	inner, _, _ := partOf[any](part)
	if inner == nil {
		return "none"
	}
	return fmt.Sprintf("%T", inner)
}

// lasting is a duration in whole days, hours, minutes or seconds where it is so
// many.
func lasting(d time.Duration) string {
	if d == 0 {
		return "none"
	}
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{day, "d"}, {hour, "h"}, {minute, "min"}, {time.Second, "s"}} {
		if d%unit.size == 0 {
			return fmt.Sprintf("%d %s", d/unit.size, unit.name)
		}
	}
	return d.String()
}
