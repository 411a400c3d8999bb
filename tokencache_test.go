package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// The cache saves work and decides nothing: with it and without it each token
// gets the same answer, the first time and when it comes again.
func TestVerdictsAreTheSameWithAndWithoutCache(t *testing.T) {
	k := loadVectors(t)
	both := func(alg string, size int) *jwtauth.Verifier {
		return must(jwtauth.NewVerifier(jwtauth.VerifierConfig{Keys: k.sets[alg], Issuer: k.Profile.Iss,
			Audience: []string{k.Profile.Aud}, Leeway: -1, CacheSize: size, Logger: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return time.Unix(k.Profile.Now, 0) }}))(t)
	}
	accepted := 0
	for alg := range k.verifiers {
		on, off := both(alg, 0), both(alg, -1)
		for _, v := range k.Vectors {
			token := v.Text(t, k.secret)
			want, wantErr := off.Verify(t.Context(), token)
			for range 2 {
				again, offErr := off.Verify(t.Context(), token)
				got, err := on.Verify(t.Context(), token)
				if !errors.Is(err, wantErr) || !errors.Is(offErr, wantErr) || jwtauth.Reason(err) != jwtauth.Reason(wantErr) {
					t.Errorf("%s with %s: %v (%s) and %v, without a cache %v (%s)", v.ID, alg, err, jwtauth.Reason(err), offErr, wantErr, jwtauth.Reason(wantErr))
				}
				if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(again, want) {
					t.Errorf("%s with %s: %+v and %+v, want %+v", v.ID, alg, got, again, want)
				}
			}
			if wantErr == nil {
				accepted++
			}
		}
	}
	if accepted < 10 {
		t.Fatalf("only %d tokens were accepted", accepted)
	}
}

// Whatever ends a token ends it at its next request, however often it was
// accepted before.
func TestCachedTokenSeesEveryChange(t *testing.T) {
	ctx := context.Background()
	spare := must(jwtauth.GenerateKey("ES256"))(t)
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, a *jwtauth.Auth, c *clock, keys *jwtauth.KeySet, g *jwtauth.Grant) error
		reason string
	}{
		{"revoked token refused", func(_ *testing.T, a *jwtauth.Auth, _ *clock, _ *jwtauth.KeySet, g *jwtauth.Grant) error {
			return a.Revoke(ctx, g.AccessToken)
		}, jwtauth.ReasonRevoked},
		{"token of an ended session refused", func(_ *testing.T, a *jwtauth.Auth, _ *clock, _ *jwtauth.KeySet, g *jwtauth.Grant) error {
			return a.EndSession(ctx, g.User.ID, g.Session.ID)
		}, jwtauth.ReasonRevoked},
		{"token of a user whose sessions ended refused", func(_ *testing.T, a *jwtauth.Auth, _ *clock, _ *jwtauth.KeySet, g *jwtauth.Grant) error {
			return a.RevokeUser(ctx, g.User.ID)
		}, jwtauth.ReasonRevoked},
		{"token with old roles refused", func(_ *testing.T, a *jwtauth.Auth, _ *clock, _ *jwtauth.KeySet, g *jwtauth.Grant) error {
			return a.SetRoles(ctx, g.User.ID, "editor")
		}, jwtauth.ReasonRevoked},
		{"token of before a password change refused", func(_ *testing.T, a *jwtauth.Auth, _ *clock, _ *jwtauth.KeySet, g *jwtauth.Grant) error {
			return a.ChangePassword(ctx, jwtauth.PasswordChange{UserID: g.User.ID, Current: testPassword, New: "another good pass phrase"})
		}, jwtauth.ReasonRevoked},
		{"token of a disabled user refused", func(_ *testing.T, a *jwtauth.Auth, _ *clock, _ *jwtauth.KeySet, g *jwtauth.Grant) error {
			return a.Disable(ctx, g.User.ID)
		}, jwtauth.ReasonRevoked},
		{"token of a deleted user refused", func(_ *testing.T, a *jwtauth.Auth, _ *clock, _ *jwtauth.KeySet, g *jwtauth.Grant) error {
			return a.DeleteUser(ctx, g.User.ID)
		}, jwtauth.ReasonRevoked},
		{"token from before a refresh refused after the grace window", func(t *testing.T, a *jwtauth.Auth, c *clock, _ *jwtauth.KeySet, g *jwtauth.Grant) error {
			_, err := a.Refresh(ctx, g.RefreshToken)
			if _, still := a.Verify(ctx, g.AccessToken); still != nil {
				t.Errorf("refused within the grace window: %v", still)
			}
			c.Add(31 * time.Second)
			return err
		}, jwtauth.ReasonRevoked},
		{"expired token refused", func(_ *testing.T, _ *jwtauth.Auth, c *clock, _ *jwtauth.KeySet, _ *jwtauth.Grant) error {
			c.Add(time.Hour)
			return nil
		}, jwtauth.ReasonExpired},
		{"token refused before its time when the clock is set back", func(_ *testing.T, _ *jwtauth.Auth, c *clock, _ *jwtauth.KeySet, _ *jwtauth.Grant) error {
			c.Add(-time.Minute)
			return nil
		}, jwtauth.ReasonNotYetValid},
		{"token of a retired key refused", func(_ *testing.T, _ *jwtauth.Auth, _ *clock, keys *jwtauth.KeySet, _ *jwtauth.Grant) error {
			old := keys.Keys()[0].ID
			return errors.Join(keys.Rotate(spare), keys.Retire(old))
		}, jwtauth.ReasonKey},
		{"token of another key with the same id refused", func(t *testing.T, _ *jwtauth.Auth, _ *clock, keys *jwtauth.KeySet, _ *jwtauth.Grant) error {
			old := keys.Keys()[0].ID
			other := must(jwtauth.ES256(old, p256PEM(t)))(t)
			return errors.Join(keys.Rotate(spare), keys.Retire(old), keys.Accept(other))
		}, jwtauth.ReasonSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, c, keys := newAuthWithKeys(t)
			g := register(t, a, "alice")
			for range 3 {
				must(a.Verify(ctx, g.AccessToken))(t)
			}
			if err := tc.change(t, a, c, keys, g); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := a.Verify(ctx, g.AccessToken); jwtauth.Reason(err) != tc.reason {
					t.Errorf("Verify = %v (%s), want %s", err, jwtauth.Reason(err), tc.reason)
				}
			}
		})
	}
}

func newAuthWithKeys(t *testing.T) (*jwtauth.Auth, *clock, *jwtauth.KeySet) {
	t.Helper()
	keys := must(jwtauth.NewKeySet(must(jwtauth.GenerateKey("ES256"))(t)))(t)
	a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Keys = keys })
	return a, c, keys
}

// p256PEM is a public key that nobody has signed with.
func p256PEM(t *testing.T) []byte {
	t.Helper()
	return must(must(jwtauth.GenerateKey("ES256"))(t).PublicPEM())(t)
}

func TestRotationKeepsCachedTokens(t *testing.T) {
	a, _, keys := newAuthWithKeys(t)
	g := register(t, a, "alice")
	must(a.Verify(t.Context(), g.AccessToken))(t)
	if err := keys.Rotate(must(jwtauth.GenerateKey("RS256"))(t)); err != nil {
		t.Fatal(err)
	}
	must(a.Verify(t.Context(), g.AccessToken))(t)
}

// A store that does not answer refuses cached tokens like others.
func TestCachedTokenNeedsTheRevocations(t *testing.T) {
	revocations := &failing{RevocationStore: jwtauth.NewMemoryStore()}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Revocations = revocations })
	token := register(t, a, "alice").AccessToken
	must(a.Verify(t.Context(), token))(t)
	revocations.err = errors.New("the store is down")
	if _, err := a.Verify(t.Context(), token); !errors.Is(err, jwtauth.ErrUnavailable) {
		t.Errorf("Verify = %v, want ErrUnavailable", err)
	}
}

type failing struct {
	jwtauth.RevocationStore
	err error
}

func (f *failing) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	if f.err != nil {
		return false, f.err
	}
	return f.RevocationStore.Revoked(ctx, ref)
}

// Who gets an identity may change it; the next one is as it was signed.
func TestIdentityBelongsToItsCaller(t *testing.T) {
	for _, roles := range [][]string{{"author"}, {"author", "editor", "guest", "owner", "reader"}} {
		t.Run(fmt.Sprint(len(roles), " roles"), func(t *testing.T) {
			a, _ := newAuth(t, func(cfg *jwtauth.Config) {
				cfg.Registration.Roles, cfg.Audience = roles, []string{testIssuer, "https://api.example.test"}
			})
			token := register(t, a, "alice").AccessToken
			want := must(a.Verify(t.Context(), token))(t)
			for range 3 {
				id := must(a.Verify(t.Context(), token))(t)
				if !reflect.DeepEqual(id, want) {
					t.Fatalf("identity = %+v, want %+v", id, want)
				}
				id.Roles[0], id.Claims.Audience[0], id.UserID = "admin", "https://evil.example", "1000"
				_ = append(id.Roles, "admin")
				clear(id.Claims.Raw())
			}
		})
	}
}

func TestCachedIdentityIsOfOneRequest(t *testing.T) {
	a, _ := newAuth(t)
	token := register(t, a, "alice").AccessToken
	var first *jwtauth.Identity
	h := a.Require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, _ := jwtauth.FromContext(r.Context())
		again, _ := jwtauth.FromContext(context.WithoutCancel(r.Context()))
		if id != again {
			t.Error("two identities in one request")
		}
		if id == first || id.HasRole("admin") {
			t.Error("what one request changed is in the next")
		}
		first = id
		id.Roles[0] = "admin"
	}))
	for range 3 {
		if r := send(t, h, request{method: "GET", path: "/", token: token}); r.status != http.StatusOK {
			t.Fatal(r.status)
		}
	}
}

// Many at once, in a cache that is too small, while the key goes.
func TestCacheUnderConcurrentUse(t *testing.T) {
	keys := must(jwtauth.NewKeySet(must(jwtauth.HS256("a", testSecret))(t)))(t)
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Secret, cfg.Keys, cfg.Tokens.CacheSize = []byte("7c1e0f5b92d84a6c8e3b10f2a9d47e65"), keys, 16
	})
	grants := make([]*jwtauth.Grant, 40)
	u := register(t, a, "alice").User
	for i := range grants {
		grants[i] = must(a.Issue(t.Context(), u.ID))(t)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 400 {
				g := grants[(i*(w+1))%len(grants)]
				id, err := a.Verify(t.Context(), g.AccessToken)
				if err != nil && jwtauth.Reason(err) != jwtauth.ReasonKey || err == nil && id.TokenID != g.TokenID {
					t.Errorf("token %s: %v, %v", g.TokenID, id, err)
				}
			}
		})
	}
	wg.Go(func() {
		err := errors.Join(keys.Rotate(must(jwtauth.GenerateKey("ES256"))(t)), keys.Retire("a"))
		if err != nil {
			t.Error(err)
		}
		if _, err := a.Verify(t.Context(), grants[0].AccessToken); jwtauth.Reason(err) != jwtauth.ReasonKey {
			t.Errorf("after the key went: %v", err)
		}
	})
	wg.Wait()
}

func TestCacheSizeChecked(t *testing.T) {
	cfg := testConfig(t)
	cfg.Tokens.CacheSize = 10_000_001
	if _, err := jwtauth.New(cfg); err == nil || !strings.Contains(err.Error(), "Tokens.CacheSize") {
		t.Errorf("New = %v", err)
	}
	if _, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{Keys: cfg.Keys, Issuer: testIssuer, CacheSize: 10_000_001}); err == nil {
		t.Error("NewVerifier accepted the size")
	}
}

// The budget: a request behind Require allocates no more often than behind any
// middleware that puts one value into the context.
func TestRequireAllocatesNoMoreThanOneContextValue(t *testing.T) {
	a, _ := newAuth(t)
	token := register(t, a, "alice").AccessToken
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	type key struct{}
	var seen *jwtauth.Identity
	var plain http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen, _ = r.Context().Value(key{}).(*jwtauth.Identity) })
	one := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, &jwtauth.Identity{})))
	})
	ours := a.Require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen, _ = jwtauth.FromContext(r.Context()) }))
	w := httptest.NewRecorder()
	want := testing.AllocsPerRun(100, func() { one.ServeHTTP(w, r) })
	if got := testing.AllocsPerRun(100, func() { ours.ServeHTTP(w, r) }); got > want-1 || seen == nil {
		t.Errorf("%v allocations, want %v: the request and its context", got, want-1)
	}
	if got := testing.AllocsPerRun(100, func() { seen, _ = a.Verify(r.Context(), token) }); got > 1 {
		t.Errorf("Verify made %v allocations, want the identity alone", got)
	}
}
