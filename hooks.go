package jwtauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-jwtauth/jwtauth/internal/strictjson"
)

// Hooks are optional functions of the host. They run on the path of a request
// and should be quick. There are three kinds:
//
//   - Gates may refuse, by returning an error: one made with [Refuse], or another
//     [*Error], reaches the caller; anything else is [ErrUnavailable]. A gate that
//     panics, or takes longer than 5 s, refuses as well.
//   - Filters add to what is made: a failing Claims refuses the token, since the
//     host may rely on its claims; other filters that fail add nothing.
//   - Notices can't change anything. One that panics is logged, and after 1 s
//     nobody waits for it any more.
//
// No hook but PasswordPolicy gets a password, and none a hash. They may run at
// the same time.
type Hooks struct {
	// BeforeLogin is a gate: somebody has proved to be u, by whatever means,
	// and is about to get a session. A second factor belongs here.
	BeforeLogin func(ctx context.Context, u User) error
	// BeforeRegister is a gate: r is well-formed, has no password, and is about
	// to become an account.
	BeforeRegister func(ctx context.Context, r Registration) error
	// PasswordPolicy is a gate: a new password meets the policy of
	// [PasswordConfig], and may be refused all the same. It gets the password
	// since it can't judge without, and must keep no copy. u is the account,
	// without an ID at a registration.
	PasswordPolicy func(ctx context.Context, u User, password string) error
	// AfterLogin is a notice: u has a new session s, by whatever means, and
	// the record is written. Its answer has not left yet.
	AfterLogin func(ctx context.Context, u User, s Session)
	// Claims is a filter: it adds claims to an access token. Names follow
	// [ValidClaimName]; the registered ones and those of this package are
	// refused.
	Claims func(ctx context.Context, u User, s Session) (map[string]any, error)
	// Limit is a filter: it may replace the rule of a limited route for one
	// request; the zero Rule leaves it as it is. name is that of the route,
	// for example "login".
	Limit func(ctx context.Context, name string, rule Rule) Rule
	// LoginResponse is a filter: it adds members to the JSON of an answer that
	// has tokens. It can't replace one that is there.
	LoginResponse func(ctx context.Context, g Grant) map[string]any
	// UserView is a filter: it adds members to the JSON of a user.
	UserView func(ctx context.Context, u User) map[string]any
	// OnEvent is a notice: an event has been recorded.
	OnEvent func(ctx context.Context, e Event)
}

const (
	gateTimeout   = 5 * time.Second
	noticeTimeout = time.Second
)

// Refuse makes an error with which a gate refuses. The HTTP API answers 403 with
// this code and message, which are shown to the caller.
func Refuse(code, message string) error {
	return &Error{Code: code, Message: message, refusal: true}
}

// gate runs a hook that may refuse.
func (a *Auth) gate(ctx context.Context, name string, hook func(context.Context) error) error {
	var refusal error
	err := contained(ctx, gateTimeout, func(ctx context.Context) { refusal = hook(ctx) })
	if err == nil {
		err = refusal
	}
	if err == nil {
		return nil
	}
	if e, ok := asError(err); ok {
		return e
	}
	a.log.ErrorContext(ctx, "gate failed", "hook", name, "error", err)
	return ErrUnavailable.because(fmt.Errorf("hook %s: %w", name, err))
}

// contained runs f in a goroutine of its own. An error says that it panicked or
// did not return in time; what it writes must then not be read.
func contained(ctx context.Context, limit time.Duration, f func(context.Context)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("it panicked: %v", p)
			}
		}()
		f(ctx)
		done <- nil
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("it did not return in time")
	}
}

func (a *Auth) beforeLogin(ctx context.Context, u User) error {
	if a.cfg.Hooks.BeforeLogin == nil {
		return nil
	}
	return a.gate(ctx, "BeforeLogin", func(ctx context.Context) error { return a.cfg.Hooks.BeforeLogin(ctx, forHooks(u)) })
}

func (a *Auth) beforeRegister(ctx context.Context, r Registration) error {
	if a.cfg.Hooks.BeforeRegister == nil {
		return nil
	}
	r.Password = ""
	return a.gate(ctx, "BeforeRegister", func(ctx context.Context) error { return a.cfg.Hooks.BeforeRegister(ctx, r) })
}

func (a *Auth) passwordPolicy(ctx context.Context, u User, password string) error {
	if a.cfg.Hooks.PasswordPolicy == nil {
		return nil
	}
	return a.gate(ctx, "PasswordPolicy", func(ctx context.Context) error {
		return a.cfg.Hooks.PasswordPolicy(ctx, forHooks(u), password)
	})
}

func (a *Auth) afterLogin(ctx context.Context, u User, s Session) {
	if a.cfg.Hooks.AfterLogin == nil {
		return
	}
	a.notice(ctx, "AfterLogin", func(ctx context.Context) { a.cfg.Hooks.AfterLogin(ctx, forHooks(u), s) })
}

// forHooks is a copy of an account without its hash.
func forHooks(u User) User {
	u = u.Clone()
	u.PasswordHash = ""
	return u
}

func (a *Auth) notify(ctx context.Context, e Event) {
	if a.cfg.Hooks.OnEvent == nil {
		return
	}
	a.notice(ctx, "OnEvent", func(ctx context.Context) { a.cfg.Hooks.OnEvent(ctx, e) })
}

// notice runs a hook that can't change anything.
func (a *Auth) notice(ctx context.Context, name string, hook func(context.Context)) {
	if err := contained(context.WithoutCancel(ctx), noticeTimeout, hook); err != nil {
		a.log.ErrorContext(ctx, "notice failed", "hook", name, "error", err)
	}
}

// extend adds the members of a filter to a JSON object. Members that are there
// stay, and names follow [ValidClaimName].
func (a *Auth) extend(ctx context.Context, body any, filter func(context.Context) map[string]any) (json.RawMessage, error) {
	data, err := json.Marshal(body)
	if err != nil || filter == nil {
		return data, err
	}
	var extra map[string]any
	if err := contained(ctx, gateTimeout, func(ctx context.Context) { extra = filter(ctx) }); err != nil {
		a.log.ErrorContext(ctx, "filter failed", "error", err)
		return data, nil
	}
	members, err := strictjson.Parse(data, claimLimits, nil)
	if err != nil {
		return nil, err
	}
	extra = maps.Clone(extra) // the hook may return the same map to all
	for name := range extra {
		if !ValidClaimName(name) || members.Get(name).Kind() != strictjson.Missing {
			a.log.WarnContext(ctx, "a filter's member was left out", "name", clip(name, 64))
			delete(extra, name)
		}
	}
	longer, err := appendExtra(slices.Clip(data[:len(data)-1]), extra)
	if err != nil {
		a.log.ErrorContext(ctx, "filter failed", "error", err)
		return data, nil
	}
	return longer, nil
}
