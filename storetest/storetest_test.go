package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/storetest"
)

func TestReferencePasses(t *testing.T) {
	storetest.Run(t, func(t *testing.T) jwtauth.Store { return jwtauth.NewMemoryStore() })
	storetest.RunFaults(t, func(t *testing.T) (jwtauth.Store, func()) {
		b := &broken{MemoryStore: jwtauth.NewMemoryStore()}
		return b, b.goDown
	})
}

// TestPartPasses has stores that are one part alone: nothing asks for more.
func TestPartPasses(t *testing.T) {
	type onlyUsers struct{ jwtauth.UserStore }
	type onlyAudit struct{ jwtauth.AuditStore }
	storetest.RunUsers(t, func(t *testing.T) jwtauth.UserStore { return onlyUsers{jwtauth.NewMemoryStore()} })
	storetest.RunAudit(t, func(t *testing.T) jwtauth.AuditStore { return onlyAudit{jwtauth.NewMemoryStore()} })
	storetest.RunFaults(t, func(t *testing.T) (jwtauth.UserStore, func()) {
		b := &broken{MemoryStore: jwtauth.NewMemoryStore()}
		return onlyUsers{b}, b.goDown
	})
}

func TestFixturesFillEveryField(t *testing.T) {
	for _, field := range storetest.FixtureGaps() {
		t.Errorf("%s is zero: a store that loses it would pass", field)
	}
}

func TestBrokenStoreCaught(t *testing.T) {
	for name, c := range brokenStores() {
		t.Run(name, func(t *testing.T) {
			failed := storetest.Failures(t, func() jwtauth.Store {
				b := &broken{MemoryStore: jwtauth.NewMemoryStore()}
				c.breaks(b)
				return b
			})
			wantCaught(t, failed, c.caughtBy)
		})
	}
}

// TestEveryCaseCatchesSomething keeps out cases that can't fail.
func TestEveryCaseCatchesSomething(t *testing.T) {
	caught := make(map[string]bool)
	for _, c := range brokenStores() {
		caught[c.caughtBy] = true
	}
	for _, name := range storetest.Cases() {
		if !caught[name] {
			t.Errorf("no broken store is there to be caught by %q", name)
		}
	}
}

func TestSwallowedFaultCaught(t *testing.T) {
	for name, c := range swallowingStores() {
		t.Run(name, func(t *testing.T) {
			failed := storetest.FaultFailures(t, func() (any, func()) {
				b := &broken{MemoryStore: jwtauth.NewMemoryStore()}
				return b, func() {
					b.goDown()
					c.breaks(b)
				}
			})
			wantCaught(t, failed, c.caughtBy)
		})
	}
}

// wantCaught fails unless the case failed that is about this mistake, and said
// what the rule is.
func wantCaught(t *testing.T, failed map[string]string, by string) {
	t.Helper()
	said, ok := failed[by]
	if !ok {
		t.Fatalf("%q passed; failed: %q", by, slices.Sorted(maps.Keys(failed)))
	}
	if !strings.Contains(said, "the rule: ") {
		t.Errorf("%q failed without saying why: %s", by, said)
	}
}

// TestRunFails sees Run itself fail, in a process of its own.
func TestRunFails(t *testing.T) {
	const inside = "STORETEST_RUN_BROKEN"
	if os.Getenv(inside) != "" {
		storetest.Run(t, func(t *testing.T) jwtauth.Store {
			b := &broken{MemoryStore: jwtauth.NewMemoryStore()}
			b.revoke = func(context.Context, jwtauth.Revocation) error { return nil }
			return b
		})
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRunFails$")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("Run passed a store that revokes nothing (error %v):\n%s", err, out)
	}
	for _, want := range []string{
		"--- FAIL: TestRunFails/revocations/revoked_token_refused,_and_no_other",
		"the rule: a token id revokes exactly that token",
	} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}

// mistake is one way to get a store wrong, and the case that must notice.
type mistake struct {
	caughtBy string
	breaks   func(b *broken)
}

func brokenStores() map[string]mistake {
	all := make(map[string]mistake)
	for _, part := range []map[string]mistake{
		brokenUsers(), brokenKeys(), racyUsers(), brokenSessions(), brokenLimits(), racySessions(),
		brokenRevocations(), racyRevocations(), brokenCodes(), racyCodes(), brokenCounters(), racyCounters(), brokenTrail(), brokenChain(), brokenCursors(),
	} {
		maps.Copy(all, part)
	}
	return all
}

func brokenUsers() map[string]mistake {
	return map[string]mistake{
		"last writer wins": {"users/update of an old version refused", func(b *broken) {
			b.updateUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				current, err := b.MemoryStore.UserByID(ctx, u.ID)
				if err != nil {
					return u, err
				}
				u.Version = current.Version
				return b.MemoryStore.UpdateUser(ctx, u)
			}
		}},
		"update inserts": {"users/update of an unknown account refused", func(b *broken) {
			b.updateUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				updated, err := b.MemoryStore.UpdateUser(ctx, u)
				if errors.Is(err, jwtauth.ErrNotFound) {
					u.ID = ""
					return b.MemoryStore.CreateUser(ctx, u)
				}
				return updated, err
			}
		}},
		"update checks no keys": {"users/update to a taken key refused", func(b *broken) {
			b.updateUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				updated, err := b.MemoryStore.UpdateUser(ctx, u)
				if errors.Is(err, jwtauth.ErrLoginTaken) {
					u.LoginKey = ""
					return b.MemoryStore.UpdateUser(ctx, u)
				}
				return updated, err
			}
		}},
		"update does not count": {"users/update of an old version refused", func(b *broken) {
			b.updateUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				if u.Version == 1 {
					_, _ = b.MemoryStore.UpdateUser(ctx, u)
				}
				return u, nil
			}
		}},
		"version chosen by the caller": {"users/new account starts at version one", func(b *broken) {
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				created, err := b.MemoryStore.CreateUser(ctx, u)
				created.CredentialVersion = max(1, u.CredentialVersion)
				return created, err
			}
		}},
		"reuses ids": {"users/ids never come back", func(b *broken) {
			var alias cells[string] // a freed id, given again, and who has it now
			var freed string
			b.deleteUser = func(ctx context.Context, id string) error {
				freed = id
				return b.MemoryStore.DeleteUser(ctx, id)
			}
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				created, err := b.MemoryStore.CreateUser(ctx, u)
				if err == nil && freed != "" {
					alias.set(freed, created.ID)
					created.ID, freed = freed, ""
				}
				return created, err
			}
		}},
		"ignores the chosen id": {"users/id chosen by the host kept", func(b *broken) {
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				u.ID = ""
				return b.MemoryStore.CreateUser(ctx, u)
			}
		}},
		"zero account for nobody": {"users/unknown account not found", func(b *broken) {
			b.userByID = func(ctx context.Context, id string) (jwtauth.User, error) {
				u, _ := b.MemoryStore.UserByID(ctx, id)
				return u, nil
			}
		}},
		"deleting nobody succeeds": {"users/unknown account not found", func(b *broken) {
			b.deleteUser = func(ctx context.Context, id string) error {
				_ = b.MemoryStore.DeleteUser(ctx, id)
				return nil
			}
		}},
		"soft delete": {"users/deleted account is gone and its keys are free", func(b *broken) {
			b.deleteUser = func(ctx context.Context, id string) error {
				u, err := b.MemoryStore.UserByID(ctx, id)
				if err != nil || u.Disabled {
					return jwtauth.ErrNotFound
				}
				u.Disabled = true
				_, err = b.MemoryStore.UpdateUser(ctx, u)
				return err
			}
		}},
		"taken e-mail called login": {"users/taken e-mail refused", func(b *broken) {
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				created, err := b.MemoryStore.CreateUser(ctx, u)
				if errors.Is(err, jwtauth.ErrEmailTaken) {
					err = jwtauth.ErrLoginTaken
				}
				return created, err
			}
		}},
		"refused account stored by halves": {"users/refused account leaves nothing behind", func(b *broken) {
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				created, err := b.MemoryStore.CreateUser(ctx, u)
				if errors.Is(err, jwtauth.ErrEmailTaken) {
					_, _ = b.MemoryStore.CreateUser(ctx, jwtauth.User{LoginKey: u.LoginKey})
				}
				return created, err
			}
		}},
		"own address conflicts": {"users/login equal to own e-mail accepted", func(b *broken) {
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				if u.LoginKey == u.EmailKey {
					return jwtauth.User{}, jwtauth.ErrEmailTaken
				}
				return b.MemoryStore.CreateUser(ctx, u)
			}
		}},
		"empty key is a key": {"users/accounts without e-mail live side by side", func(b *broken) {
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				if u.EmailKey == "" {
					u.EmailKey = "NULL"
				}
				return b.MemoryStore.CreateUser(ctx, u)
			}
		}},
		"update overwrites creation": {"users/update stores the change", func(b *broken) {
			b.updateUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				updated, err := b.MemoryStore.UpdateUser(ctx, u)
				updated.Created = u.Created
				return updated, err
			}
		}},
		"update can't empty a field": {"users/update stores the change", func(b *broken) {
			b.updateUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				if len(u.Roles) == 0 {
					if old, err := b.MemoryStore.UserByID(ctx, u.ID); err == nil {
						u.Roles = old.Roles
					}
				}
				return b.MemoryStore.UpdateUser(ctx, u)
			}
		}},
		"identities are not compared": {"users/taken identity refused", func(b *broken) {
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				for i, key := range u.Identities {
					if _, err := b.MemoryStore.UserByLogin(ctx, key); err == nil {
						u.Identities[i] += "'"
					}
				}
				return b.MemoryStore.CreateUser(ctx, u)
			}
		}},
		"old name still opens": {"users/renamed account frees its old keys", func(b *broken) {
			var old cells[string]
			b.updateUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				if before, err := b.MemoryStore.UserByID(ctx, u.ID); err == nil {
					old.set(before.LoginKey, u.ID)
				}
				return b.MemoryStore.UpdateUser(ctx, u)
			}
			b.userByLogin = func(ctx context.Context, key string) (jwtauth.User, error) {
				if id, ok := old.get(key); ok {
					return b.MemoryStore.UserByID(ctx, id)
				}
				return b.MemoryStore.UserByLogin(ctx, key)
			}
		}},
		"times in whole seconds": {"users/account reads back whole", storesUsersAs(func(u *jwtauth.User) {
			u.Created = u.Created.Truncate(time.Second)
		})},
		"text trimmed": {"users/account reads back whole", storesUsersAs(func(u *jwtauth.User) {
			u.DisplayName = strings.TrimSpace(u.DisplayName)
		})},
		"text in three bytes": {"users/account reads back whole", storesUsersAs(func(u *jwtauth.User) {
			u.DisplayName = strings.Map(func(r rune) rune {
				if r > 0xFFFF {
					return '?'
				}
				return r
			}, u.DisplayName)
		})},
		"roles joined by commas": {"users/account reads back whole", storesUsersAs(func(u *jwtauth.User) {
			u.Roles = strings.Split(strings.Join(u.Roles, ","), ",")
		})},
		"no roles become a role": {"users/account without roles and meta reads back without", storesUsersAs(func(u *jwtauth.User) {
			u.Roles = strings.Split(strings.Join(u.Roles, ","), ",")
		})},
		"meta dropped":     {"users/account reads back whole", storesUsersAs(func(u *jwtauth.User) { u.Meta = nil })},
		"verified dropped": {"users/account reads back whole", storesUsersAs(func(u *jwtauth.User) { u.EmailVerified = false })},
		"shares slices and maps": {"users/changes to arguments and results stay outside", func(b *broken) {
			var shared cells[jwtauth.User]
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				created, err := b.MemoryStore.CreateUser(ctx, u)
				created.Roles, created.Meta = u.Roles, u.Meta
				shared.set(created.ID, created)
				return created, err
			}
			b.userByID = func(ctx context.Context, id string) (jwtauth.User, error) {
				if u, ok := shared.get(id); ok {
					return u, nil
				}
				return b.MemoryStore.UserByID(ctx, id)
			}
		}},
		"page forgets the last one": {"users/pages show every account once", func(b *broken) {
			b.listUsers = func(ctx context.Context, q jwtauth.UserQuery) ([]jwtauth.User, error) {
				if _, err := b.MemoryStore.UserByID(ctx, q.After); q.After != "" && err != nil {
					return nil, nil
				}
				return b.MemoryStore.ListUsers(ctx, q)
			}
		}},
		"accounts ignore the context": {"users/cancelled context changes nothing", func(b *broken) {
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				return b.MemoryStore.CreateUser(context.WithoutCancel(ctx), u)
			}
		}},
		"account done in spite of the error": {"users/cancelled context changes nothing", func(b *broken) {
			b.deleteUser = func(ctx context.Context, id string) error {
				return errors.Join(b.MemoryStore.DeleteUser(context.WithoutCancel(ctx), id), ctx.Err())
			}
		}},
	}
}

// storesUsersAs is a store that changes what it is given to keep.
func storesUsersAs(change func(u *jwtauth.User)) func(b *broken) {
	return func(b *broken) {
		b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
			u = u.Clone()
			change(&u)
			return b.MemoryStore.CreateUser(ctx, u)
		}
	}
}

// brokenKeys fold what is different, or match what is no pattern.
func brokenKeys() map[string]mistake {
	const distinct, lookUp = "users/similar keys are different accounts", "users/similar key finds nobody"
	m := make(map[string]mistake)
	for name, fold := range map[string]func(string) string{
		"ignores case":            strings.ToLower,
		"ignores trailing spaces": func(s string) string { return strings.TrimRight(s, " ") },
		"ignores accents":         strings.NewReplacer("é", "e").Replace,
		"composes Unicode":        strings.NewReplacer("e\u0308", "ë").Replace,
		"takes all emoji for one": strings.NewReplacer("😀", "?", "😁", "?").Replace,
		"drops invisible ones":    strings.NewReplacer("\u200b", "").Replace,
		"compares numbers":        func(s string) string { return strings.TrimLeft(s, "0") },
		"unescapes":               strings.NewReplacer(`\\`, `\`).Replace,
		"trims line ends":         strings.TrimSpace,
	} {
		m[name] = mistake{distinct, foldsKeys(fold)}
		m[name+" when reading"] = mistake{lookUp, foldsKeys(fold)}
	}
	m["cuts long keys"] = mistake{"users/long keys differ to the last byte", foldsKeys(func(s string) string { return s[:min(len(s), 191)] })}
	m["matches patterns"] = mistake{lookUp, func(b *broken) {
		b.userByLogin = func(ctx context.Context, key string) (jwtauth.User, error) {
			if key == "%" {
				page, err := b.MemoryStore.ListUsers(ctx, jwtauth.UserQuery{Limit: 1})
				return page[0], err
			}
			return b.MemoryStore.UserByLogin(ctx, key)
		}
	}}
	m["two name spaces"] = mistake{"users/taken login refused", func(b *broken) {
		b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
			if other, err := b.MemoryStore.UserByLogin(ctx, u.LoginKey); err == nil && other.EmailKey == u.LoginKey {
				u.LoginKey = ""
			}
			return b.MemoryStore.CreateUser(ctx, u)
		}
	}}
	return m
}

func foldsKeys(fold func(string) string) func(b *broken) {
	return func(b *broken) {
		b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
			u.LoginKey, u.EmailKey = fold(u.LoginKey), fold(u.EmailKey)
			return b.MemoryStore.CreateUser(ctx, u)
		}
		b.userByLogin = func(ctx context.Context, key string) (jwtauth.User, error) {
			return b.MemoryStore.UserByLogin(ctx, fold(key))
		}
	}
}

// racyUsers look first and act later.
func racyUsers() map[string]mistake {
	return map[string]mistake{
		"check, then create user": {"users/one of many registrations of a name wins", func(b *broken) {
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				if _, err := b.MemoryStore.UserByLogin(ctx, u.LoginKey); err == nil {
					return jwtauth.User{}, jwtauth.ErrLoginTaken
				}
				if _, err := b.MemoryStore.UserByLogin(ctx, u.EmailKey); err == nil {
					return jwtauth.User{}, jwtauth.ErrEmailTaken
				}
				gap()
				created, err := b.MemoryStore.CreateUser(ctx, u)
				if err != nil { // there is no unique index to stop it
					u.LoginKey, u.EmailKey = "", ""
					return b.MemoryStore.CreateUser(ctx, u)
				}
				return created, nil
			}
		}},
		"check, then update user": {"users/one of many updates of a version wins", racyUpdate},
		"updates lost":            {"users/no update is lost", racyUpdate},
		"check, then rename": {"users/one of many renames to a name wins", func(b *broken) {
			b.updateUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				if other, err := b.MemoryStore.UserByLogin(ctx, u.LoginKey); err == nil && other.ID != u.ID {
					return jwtauth.User{}, jwtauth.ErrLoginTaken
				}
				gap()
				updated, err := b.MemoryStore.UpdateUser(ctx, u)
				if errors.Is(err, jwtauth.ErrLoginTaken) {
					u.LoginKey = ""
					return b.MemoryStore.UpdateUser(ctx, u)
				}
				return updated, err
			}
		}},
		"highest id plus one": {"users/concurrent accounts get different ids", func(b *broken) {
			var ids cells[int]
			b.createUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
				n, _ := ids.get("last")
				gap()
				ids.set("last", n+1)
				created, err := b.MemoryStore.CreateUser(ctx, u)
				created.ID = fmt.Sprint(n + 1)
				return created, err
			}
		}},
	}
}

func racyUpdate(b *broken) {
	b.updateUser = func(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
		current, err := b.MemoryStore.UserByID(ctx, u.ID)
		if err != nil {
			return u, err
		}
		if current.Version != u.Version {
			return u, jwtauth.ErrConflict
		}
		gap()
		for {
			updated, err := b.MemoryStore.UpdateUser(ctx, u)
			if !errors.Is(err, jwtauth.ErrConflict) {
				return updated, err
			}
			u.Version++
		}
	}
}

func brokenSessions() map[string]mistake {
	return map[string]mistake{
		"session times in whole seconds": {"sessions/session reads back whole", func(b *broken) {
			b.createSession = func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				s.Expires = s.Expires.Truncate(time.Second)
				return b.MemoryStore.CreateSession(ctx, s, limit)
			}
		}},
		"user agent dropped": {"sessions/session reads back whole", func(b *broken) {
			b.createSession = func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				s.UserAgent = ""
				return b.MemoryStore.CreateSession(ctx, s, limit)
			}
		}},
		"session replaced": {"sessions/taken session id refused", func(b *broken) {
			b.createSession = func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				_ = b.MemoryStore.EndSession(ctx, s.ID)
				return b.MemoryStore.CreateSession(ctx, s, limit)
			}
		}},
		"session ids ignore case": {"sessions/similar ids are different sessions", func(b *broken) {
			b.session = func(ctx context.Context, id string) (jwtauth.Session, error) {
				s, err := b.MemoryStore.Session(ctx, id)
				if err != nil {
					return b.MemoryStore.Session(ctx, strings.ToLower(id))
				}
				return s, err
			}
		}},
		"zero session for nobody": {"sessions/unknown session not found", func(b *broken) {
			b.session = func(ctx context.Context, id string) (jwtauth.Session, error) {
				s, _ := b.MemoryStore.Session(ctx, id)
				return s, nil
			}
		}},
		"ending nobody succeeds": {"sessions/unknown session not found", func(b *broken) {
			b.endSession = func(ctx context.Context, id string) error {
				_ = b.MemoryStore.EndSession(ctx, id)
				return nil
			}
		}},
		"ended session only hidden": {"sessions/ended session is gone", func(b *broken) {
			var ended cells[bool]
			b.endSession = func(ctx context.Context, id string) error {
				if _, gone := ended.get(id); gone {
					return jwtauth.ErrNotFound
				}
				_, err := b.MemoryStore.Session(ctx, id)
				if err == nil {
					ended.set(id, true)
				}
				return err
			}
			b.session = func(ctx context.Context, id string) (jwtauth.Session, error) {
				if _, gone := ended.get(id); gone {
					return jwtauth.Session{}, jwtauth.ErrNotFound
				}
				return b.MemoryStore.Session(ctx, id)
			}
		}},
		"any generation advances": {"sessions/refresh from another generation refused", func(b *broken) {
			b.advanceSession = func(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
				if s, err := b.MemoryStore.Session(ctx, adv.SessionID); err == nil {
					adv.From = s.Generation
				}
				return b.MemoryStore.AdvanceSession(ctx, adv)
			}
		}},
		"refused refresh returns nothing": {"sessions/refresh from another generation refused", func(b *broken) {
			b.advanceSession = func(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
				s, moved, err := b.MemoryStore.AdvanceSession(ctx, adv)
				if !moved {
					s = jwtauth.Session{}
				}
				return s, moved, err
			}
		}},
		"secret id not kept": {"sessions/refresh moves one generation on", func(b *broken) {
			b.advanceSession = func(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
				adv.SecretID = "s1"
				return b.MemoryStore.AdvanceSession(ctx, adv)
			}
		}},
		"returns the session before": {"sessions/refresh moves one generation on", func(b *broken) {
			b.advanceSession = func(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
				before, _ := b.MemoryStore.Session(ctx, adv.SessionID)
				_, moved, err := b.MemoryStore.AdvanceSession(ctx, adv)
				return before, moved, err
			}
		}},
		"expired session advances": {"sessions/refresh of an expired session refused", func(b *broken) {
			b.advanceSession = func(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
				adv.Now = time.Time{}
				return b.MemoryStore.AdvanceSession(ctx, adv)
			}
		}},
		"session advances at its very end": {"sessions/refresh of an expired session refused", func(b *broken) {
			b.advanceSession = func(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
				adv.Now = adv.Now.Add(-time.Microsecond)
				return b.MemoryStore.AdvanceSession(ctx, adv)
			}
		}},
		"idle limit ignored": {"sessions/refresh of an idle session refused", func(b *broken) {
			b.advanceSession = func(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
				adv.MovedAfter = time.Time{}
				return b.MemoryStore.AdvanceSession(ctx, adv)
			}
		}},
		"except ignored": {"sessions/ending all sessions spares the one named", func(b *broken) {
			b.endSessions = func(ctx context.Context, userID, except string) ([]string, error) {
				return b.MemoryStore.EndSessions(ctx, userID, "")
			}
		}},
		"ended ids not returned": {"sessions/ending all sessions spares the one named", func(b *broken) {
			b.endSessions = func(ctx context.Context, userID, except string) ([]string, error) {
				_, err := b.MemoryStore.EndSessions(ctx, userID, except)
				return nil, err
			}
		}},
		"ending none is not found": {"sessions/ending all sessions of nobody is no error", func(b *broken) {
			b.endSessions = func(ctx context.Context, userID, except string) ([]string, error) {
				ended, err := b.MemoryStore.EndSessions(ctx, userID, except)
				if len(ended) == 0 {
					err = jwtauth.ErrNotFound
				}
				return ended, err
			}
		}},
		"list of all sessions counts the page": {"sessions/pages show every session that is asked for", func(b *broken) {
			b.listSessions = func(ctx context.Context, q jwtauth.SessionQuery) ([]jwtauth.Session, int, error) {
				page, _, err := b.MemoryStore.ListSessions(ctx, q)
				return page, len(page), err
			}
		}},
		"list of all sessions takes an end for live": {"sessions/pages show every session that is asked for", func(b *broken) {
			b.listSessions = func(ctx context.Context, q jwtauth.SessionQuery) ([]jwtauth.Session, int, error) {
				if !q.ExpiresAfter.IsZero() {
					q.ExpiresAfter = q.ExpiresAfter.Add(-time.Second)
				}
				return b.MemoryStore.ListSessions(ctx, q)
			}
		}},
		"list shows expired sessions": {"sessions/list shows live sessions, latest login first", func(b *broken) {
			b.sessions = func(ctx context.Context, userID string, now time.Time) ([]jwtauth.Session, error) {
				return b.MemoryStore.Sessions(ctx, userID, time.Time{})
			}
		}},
		"list starts with the oldest": {"sessions/list shows live sessions, latest login first", func(b *broken) {
			b.sessions = func(ctx context.Context, userID string, now time.Time) ([]jwtauth.Session, error) {
				list, err := b.MemoryStore.Sessions(ctx, userID, now)
				slices.Reverse(list)
				return list, err
			}
		}},
		"shares a cached list": {"sessions/changes to results stay outside", func(b *broken) {
			var cache cells[[]jwtauth.Session]
			b.sessions = func(ctx context.Context, userID string, now time.Time) ([]jwtauth.Session, error) {
				if list, ok := cache.get(userID); ok {
					return list, nil
				}
				list, err := b.MemoryStore.Sessions(ctx, userID, now)
				cache.set(userID, list)
				return list, err
			}
			b.session = func(ctx context.Context, id string) (jwtauth.Session, error) {
				if list, ok := cache.get("1"); ok && len(list) > 0 && list[0].ID == id {
					return list[0], nil
				}
				return b.MemoryStore.Session(ctx, id)
			}
		}},
		"sessions ignore the context": {"sessions/cancelled context changes nothing", func(b *broken) {
			b.advanceSession = func(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
				return b.MemoryStore.AdvanceSession(context.WithoutCancel(ctx), adv)
			}
		}},
		"cancelled reads as not found": {"sessions/cancelled context changes nothing", func(b *broken) {
			b.session = func(ctx context.Context, id string) (jwtauth.Session, error) {
				if ctx.Err() != nil {
					return jwtauth.Session{}, jwtauth.ErrNotFound
				}
				return b.MemoryStore.Session(ctx, id)
			}
		}},
		"cancelled by halves": {"sessions/context cancelled midway leaves all or nothing", func(b *broken) {
			b.endSessions = func(ctx context.Context, userID, except string) ([]string, error) {
				list, err := b.MemoryStore.Sessions(ctx, userID, time.Time{})
				var ended []string
				for _, s := range list {
					if err = b.MemoryStore.EndSession(ctx, s.ID); err != nil {
						break
					}
					ended = append(ended, s.ID)
					gap()
				}
				return ended, err
			}
		}},
	}
}

func brokenLimits() map[string]mistake {
	type limited = func(context.Context, jwtauth.Session, jwtauth.SessionLimit) ([]jwtauth.Session, error)
	with := func(make func(b *broken) limited) func(b *broken) {
		return func(b *broken) { b.createSession = make(b) }
	}
	return map[string]mistake{
		"no limit": {"sessions/login over the limit refused", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, _ jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				return b.MemoryStore.CreateSession(ctx, s, jwtauth.SessionLimit{})
			}
		})},
		"one over the limit": {"sessions/login over the limit refused", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				if limit.Max > 0 {
					limit.Max++
				}
				return b.MemoryStore.CreateSession(ctx, s, limit)
			}
		})},
		"refuses and stores": {"sessions/login over the limit refused", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				evicted, err := b.MemoryStore.CreateSession(ctx, s, limit)
				if errors.Is(err, jwtauth.ErrTooManySessions) {
					_, _ = b.MemoryStore.CreateSession(ctx, s, jwtauth.SessionLimit{})
				}
				return evicted, err
			}
		})},
		"refuses instead of evicting": {"sessions/login over the limit ends the oldest login", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				limit.EvictOldest = false
				return b.MemoryStore.CreateSession(ctx, s, limit)
			}
		})},
		"evicts the newest": {"sessions/login over the limit ends the oldest login", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				list, err := b.MemoryStore.Sessions(ctx, s.UserID, s.Created)
				if err != nil {
					return nil, err
				}
				var evicted []jwtauth.Session
				if limit.EvictOldest && limit.Max > 0 && len(list) >= limit.Max {
					evicted = list[:len(list)-limit.Max+1]
				}
				for _, old := range evicted {
					_ = b.MemoryStore.EndSession(ctx, old.ID)
				}
				_, err = b.MemoryStore.CreateSession(ctx, s, limit)
				return evicted, err
			}
		})},
		"evicts the longest idle": {"sessions/login over the limit ends the oldest login", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				list, err := b.MemoryStore.Sessions(ctx, s.UserID, s.Created)
				if err != nil || !limit.EvictOldest || limit.Max == 0 || len(list) < limit.Max {
					return b.wronglyCreate(ctx, s, limit, nil)
				}
				slices.SortFunc(list, func(x, y jwtauth.Session) int { return x.Moved.Compare(y.Moved) })
				return b.wronglyCreate(ctx, s, limit, list[:len(list)-limit.Max+1])
			}
		})},
		"evicts at most one": {"sessions/lowered limit ends as many as needed", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				list, err := b.MemoryStore.Sessions(ctx, s.UserID, s.Created)
				if err != nil || !limit.EvictOldest || limit.Max == 0 || len(list) < limit.Max {
					return b.wronglyCreate(ctx, s, limit, nil)
				}
				return b.wronglyCreate(ctx, s, jwtauth.SessionLimit{}, list[len(list)-1:])
			}
		})},
		"evicts in silence": {"sessions/login over the limit ends the oldest login", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				_, err := b.MemoryStore.CreateSession(ctx, s, limit)
				return nil, err
			}
		})},
		"counts expired sessions": {"sessions/expired session takes no place", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				all, err := b.MemoryStore.Sessions(ctx, s.UserID, time.Time{})
				if err == nil && limit.Max > 0 && len(all) >= limit.Max && !limit.EvictOldest {
					return nil, jwtauth.ErrTooManySessions
				}
				return b.MemoryStore.CreateSession(ctx, s, limit)
			}
		})},
		"returns expired sessions as evicted": {"sessions/expired session takes no place", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				all, err := b.MemoryStore.Sessions(ctx, s.UserID, time.Time{})
				if err != nil || !limit.EvictOldest || limit.Max == 0 || len(all) < limit.Max {
					return b.wronglyCreate(ctx, s, limit, nil)
				}
				return b.wronglyCreate(ctx, s, limit, all[limit.Max-1:])
			}
		})},
		"counts ended sessions": {"sessions/ended session takes no place", with(func(b *broken) limited {
			var logins cells[int]
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				n, _ := logins.get(s.UserID)
				if limit.Max > 0 && n >= limit.Max && !limit.EvictOldest {
					return nil, jwtauth.ErrTooManySessions
				}
				logins.set(s.UserID, n+1)
				return b.MemoryStore.CreateSession(ctx, s, limit)
			}
		})},
		"one limit for all users": {"sessions/limit is for each user", with(func(b *broken) limited {
			var last cells[jwtauth.Session]
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				var victims []jwtauth.Session
				if old, ok := last.get(""); ok && limit.Max == 1 && limit.EvictOldest {
					victims = append(victims, old)
				}
				last.set("", s)
				return b.wronglyCreate(ctx, s, limit, victims)
			}
		})},
		"Max 0 admits nobody": {"sessions/no limit admits any number", with(func(b *broken) limited {
			return func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				if limit.Max == 0 && !limit.EvictOldest {
					return nil, jwtauth.ErrTooManySessions
				}
				return b.MemoryStore.CreateSession(ctx, s, limit)
			}
		})},
	}
}

// wronglyCreate ends the victims and then creates the session.
func (b *broken) wronglyCreate(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit, victims []jwtauth.Session) ([]jwtauth.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, old := range victims {
		_ = b.MemoryStore.EndSession(ctx, old.ID)
	}
	evicted, err := b.MemoryStore.CreateSession(ctx, s, limit)
	return append(victims, evicted...), err
}

func racySessions() map[string]mistake {
	return map[string]mistake{
		"check, then advance": {"sessions/one of many refreshes of a generation wins", func(b *broken) {
			b.advanceSession = func(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
				s, err := b.MemoryStore.Session(ctx, adv.SessionID)
				if err != nil || s.Generation != adv.From {
					return s, false, err
				}
				gap()
				for {
					s, moved, err := b.MemoryStore.AdvanceSession(ctx, adv)
					if err != nil || moved || s.Generation == adv.From {
						return s, moved, err
					}
					adv.From = s.Generation
				}
			}
		}},
		"count, then create session": {"sessions/device limit holds under concurrent logins", func(b *broken) {
			b.createSession = func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				list, err := b.MemoryStore.Sessions(ctx, s.UserID, s.Created)
				if err != nil {
					return nil, err
				}
				if limit.Max > 0 && len(list) >= limit.Max && !limit.EvictOldest {
					return nil, jwtauth.ErrTooManySessions
				}
				gap()
				limit.Max = 0
				return b.MemoryStore.CreateSession(ctx, s, limit)
			}
		}},
		"count, then evict": {"sessions/device limit holds while logins evict", func(b *broken) {
			b.createSession = func(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
				list, err := b.MemoryStore.Sessions(ctx, s.UserID, s.Created)
				if err != nil || limit.Max == 0 || len(list) < limit.Max || !limit.EvictOldest {
					gap()
					return b.wronglyCreate(ctx, s, jwtauth.SessionLimit{}, nil)
				}
				gap()
				return b.wronglyCreate(ctx, s, jwtauth.SessionLimit{}, list[limit.Max-1:])
			}
		}},
		"refresh writes the whole row": {"sessions/ended session stays ended", func(b *broken) {
			b.advanceSession = func(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
				s, moved, err := b.MemoryStore.AdvanceSession(ctx, adv)
				if moved {
					gap()
					_ = b.MemoryStore.EndSession(ctx, s.ID)
					_, _ = b.MemoryStore.CreateSession(ctx, s, jwtauth.SessionLimit{})
				}
				return s, moved, err
			}
		}},
		"look, then end": {"sessions/ended once among concurrent callers", func(b *broken) {
			b.endSession = func(ctx context.Context, id string) error {
				if _, err := b.MemoryStore.Session(ctx, id); err != nil {
					return err
				}
				gap()
				_ = b.MemoryStore.EndSession(ctx, id)
				return nil
			}
		}},
	}
}

func brokenRevocations() map[string]mistake {
	changes := func(change func(r *jwtauth.Revocation)) func(b *broken) {
		return func(b *broken) {
			b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
				change(&r)
				if r.TokenID == "" && r.SessionID == "" && r.UserID == "" {
					return ctx.Err()
				}
				return b.MemoryStore.Revoke(ctx, r)
			}
		}
	}
	return map[string]mistake{
		"revokes nothing": {"revocations/revoked token refused, and no other", func(b *broken) {
			b.revoke = func(context.Context, jwtauth.Revocation) error { return nil }
		}},
		"unknown is revoked": {"revocations/unknown token not revoked", func(b *broken) {
			b.revoked = func(context.Context, jwtauth.TokenRef) (bool, error) { return true, nil }
		}},
		"unknown is an error": {"revocations/unknown token not revoked", func(b *broken) {
			b.revoked = func(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
				got, err := b.MemoryStore.Revoked(ctx, ref)
				if err == nil && !got {
					err = jwtauth.ErrNotFound
				}
				return got, err
			}
		}},
		"token ids ignore case": {"revocations/revoked token refused, and no other", func(b *broken) {
			b.revoked = func(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
				ref.TokenID = strings.ToLower(ref.TokenID)
				return b.MemoryStore.Revoked(ctx, ref)
			}
		}},
		"watermark includes its number":     {"revocations/generations below the watermark refused", changes(func(r *jwtauth.Revocation) { r.Generation++ })},
		"watermark one too low":             {"revocations/versions below the watermark refused", changes(func(r *jwtauth.Revocation) { r.Version-- })},
		"highest watermark overflows":       {"revocations/highest watermarks refuse everything", changes(func(r *jwtauth.Revocation) { r.Generation = int64(int32(r.Generation)) })},
		"highest watermark loses precision": {"revocations/highest watermarks refuse everything", changes(func(r *jwtauth.Revocation) { r.Version = min(r.Version, 1<<53) })},
		"From ignored":                      {"revocations/watermark for the future waits", changes(func(r *jwtauth.Revocation) { r.From = time.Time{} })},
		"watermark waits for ever": {"revocations/watermark for the future waits", changes(func(r *jwtauth.Revocation) {
			if !r.From.IsZero() {
				r.From = r.From.Add(1000 * time.Hour)
			}
		})},
		"From in whole minutes": {"revocations/watermark for the future waits", changes(func(r *jwtauth.Revocation) {
			r.From = r.From.Truncate(time.Minute)
		})},
		"last watermark counts": {"revocations/lower watermark revives nothing", lastWatermark},
		"one watermark, with the last From": {"revocations/watermark for the future defers no other", func(b *broken) {
			var marks cells[jwtauth.Revocation]
			b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
				if r.SessionID == "" {
					return b.MemoryStore.Revoke(ctx, r)
				}
				if old, ok := marks.get(r.SessionID); !ok || old.Generation < r.Generation {
					marks.set(r.SessionID, r)
				}
				return nil
			}
			b.revoked = marksRevoked(b, &marks)
		}},
		"last Expires counts":             {"revocations/earlier end shortens nothing", lastExpires},
		"forgets early":                   {"revocations/revoked until it expires", forgetsEarly},
		"keeps the newest":                {"revocations/revoked until it expires", keepsNewest(100)},
		"no end means over":               {"revocations/entry without an end is kept or refused", lastExpires},
		"only the first part":             {"revocations/all three parts of one revocation apply", changes(firstPart)},
		"empty session revoked":           {"revocations/parts without an id apply to nothing", emptyRevoked},
		"one name space for ids":          {"revocations/ids of different kinds do not meet", oneNameSpace},
		"revoking twice fails":            {"revocations/revoking twice is no error", revokesOnce},
		"revocations ignore the context":  {"revocations/cancelled context changes nothing", uncancelledRevoke},
		"revocations cached":              {"revocations/revocation is seen by every later check", writesBehind},
		"session watermark is not stored": {"revocations/all three parts of one revocation apply", changes(func(r *jwtauth.Revocation) { r.SessionID = "" })},
	}
}

// marksRevoked checks the session watermarks of a test's own.
func marksRevoked(b *broken, marks *cells[jwtauth.Revocation]) func(context.Context, jwtauth.TokenRef) (bool, error) {
	return func(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
		if r, ok := marks.get(ref.SessionID); ok && ref.Generation < r.Generation && !r.From.After(ref.Now) {
			return true, nil
		}
		return b.MemoryStore.Revoked(ctx, ref)
	}
}

func lastWatermark(b *broken) {
	var marks cells[jwtauth.Revocation]
	b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
		if r.SessionID == "" {
			return b.MemoryStore.Revoke(ctx, r)
		}
		marks.set(r.SessionID, r)
		return nil
	}
	b.revoked = marksRevoked(b, &marks)
}

// lastExpires keeps token ids with the end that was given last.
func lastExpires(b *broken) {
	var ends cells[time.Time]
	b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
		if r.TokenID != "" {
			ends.set(r.TokenID, r.Expires)
		}
		return b.MemoryStore.Revoke(ctx, r)
	}
	b.revoked = func(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
		if end, ok := ends.get(ref.TokenID); ok && !end.After(ref.Now) {
			return false, nil
		}
		return b.MemoryStore.Revoked(ctx, ref)
	}
}

// forgetsEarly drops what expires within a minute.
func forgetsEarly(b *broken) {
	var ends cells[time.Time]
	b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
		if r.SessionID != "" {
			ends.set(r.SessionID, r.Expires.Add(-time.Minute))
		}
		return b.MemoryStore.Revoke(ctx, r)
	}
	b.revoked = func(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
		if end, ok := ends.get(ref.SessionID); ok && !end.After(ref.Now) {
			return false, nil
		}
		return b.MemoryStore.Revoked(ctx, ref)
	}
}

// keepsNewest is a cache that was taken for a store.
func keepsNewest(n int) func(b *broken) {
	return func(b *broken) {
		var mu sync.Mutex
		var ids []string
		b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, r.TokenID+r.SessionID+r.UserID)
			return b.MemoryStore.Revoke(ctx, r)
		}
		b.revoked = func(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			newest := ids[max(0, len(ids)-n):]
			if id := ref.TokenID + ref.SessionID + ref.UserID; slices.Contains(ids, id) && !slices.Contains(newest, id) {
				return false, nil
			}
			return b.MemoryStore.Revoked(ctx, ref)
		}
	}
}

func firstPart(r *jwtauth.Revocation) {
	switch {
	case r.TokenID != "":
		r.SessionID, r.UserID = "", ""
	case r.SessionID != "":
		r.UserID = ""
	}
}

func emptyRevoked(b *broken) {
	var marks cells[jwtauth.Revocation]
	b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
		marks.set(r.SessionID, r)
		return b.MemoryStore.Revoke(ctx, r)
	}
	b.revoked = marksRevoked(b, &marks)
}

func oneNameSpace(b *broken) {
	b.revoked = func(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
		for _, id := range []string{ref.TokenID, ref.SessionID, ref.UserID} {
			got, err := b.MemoryStore.Revoked(ctx, jwtauth.TokenRef{TokenID: id, Now: ref.Now})
			if got || err != nil {
				return got, err
			}
		}
		return b.MemoryStore.Revoked(ctx, ref)
	}
}

func revokesOnce(b *broken) {
	var seen cells[bool]
	b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
		if _, ok := seen.get(r.TokenID); ok && r.TokenID != "" {
			return errors.New("duplicate key")
		}
		seen.set(r.TokenID, true)
		return b.MemoryStore.Revoke(ctx, r)
	}
}

func uncancelledRevoke(b *broken) {
	b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
		return errors.Join(b.MemoryStore.Revoke(context.WithoutCancel(ctx), r), ctx.Err())
	}
}

// writesBehind confirms a revocation and stores it with the next one.
func writesBehind(b *broken) {
	var mu sync.Mutex
	var next *jwtauth.Revocation
	b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
		mu.Lock()
		defer mu.Unlock()
		if next != nil {
			_ = b.MemoryStore.Revoke(ctx, *next)
		}
		next = &r
		return ctx.Err()
	}
}

func racyRevocations() map[string]mistake {
	return map[string]mistake{
		"read, then raise watermark": {"revocations/no concurrent revocation is lost", func(b *broken) {
			var marks cells[jwtauth.Revocation]
			b.revoke = func(ctx context.Context, r jwtauth.Revocation) error {
				if r.SessionID == "" {
					return b.MemoryStore.Revoke(ctx, r)
				}
				old, _ := marks.get(r.SessionID)
				gap()
				r.Generation = max(r.Generation, old.Generation)
				marks.set(r.SessionID, r)
				return nil
			}
			b.revoked = marksRevoked(b, &marks)
		}},
	}
}

func brokenCodes() map[string]mistake {
	type consumer = func(context.Context, string, []byte, time.Time) (jwtauth.OneTimeCode, error)
	with := func(make func(b *broken) consumer) func(b *broken) {
		return func(b *broken) { b.consumeCode = make(b) }
	}
	return map[string]mistake{
		"code works twice": {"codes/right code accepted once", with(func(b *broken) consumer {
			return func(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
				c, err := b.MemoryStore.ConsumeCode(ctx, key, hash, now)
				if err == nil {
					_ = b.MemoryStore.PutCode(ctx, c)
				}
				return c, err
			}
		})},
		"code version lost": {"codes/right code accepted once", func(b *broken) {
			b.putCode = func(ctx context.Context, c jwtauth.OneTimeCode) error {
				c.Version = 0
				return b.MemoryStore.PutCode(ctx, c)
			}
		}},
		"codes expire never": {"codes/expired code not found", with(func(b *broken) consumer {
			return func(ctx context.Context, key string, hash []byte, _ time.Time) (jwtauth.OneTimeCode, error) {
				return b.MemoryStore.ConsumeCode(ctx, key, hash, time.Time{})
			}
		})},
		"codes expire by the clock of the store": {"codes/expired code not found", with(func(b *broken) consumer {
			return func(ctx context.Context, key string, hash []byte, _ time.Time) (jwtauth.OneTimeCode, error) {
				return b.MemoryStore.ConsumeCode(ctx, key, hash, time.Now())
			}
		})},
		"code works at its very end": {"codes/expired code not found", with(func(b *broken) consumer {
			return func(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
				return b.MemoryStore.ConsumeCode(ctx, key, hash, now.Add(-time.Microsecond))
			}
		})},
		"attempts unlimited": {"codes/code dies with its last attempt", func(b *broken) {
			b.putCode = func(ctx context.Context, c jwtauth.OneTimeCode) error {
				c.Attempts = 1 << 30
				return b.MemoryStore.PutCode(ctx, c)
			}
		}},
		"one attempt too many": {"codes/code dies with its last attempt", func(b *broken) {
			b.putCode = func(ctx context.Context, c jwtauth.OneTimeCode) error {
				c.Attempts++
				return b.MemoryStore.PutCode(ctx, c)
			}
		}},
		"last attempt wasted": {"codes/last attempt may be right", func(b *broken) {
			b.putCode = func(ctx context.Context, c jwtauth.OneTimeCode) error {
				c.Attempts--
				return b.MemoryStore.PutCode(ctx, c)
			}
		}},
		"no attempts means any number": {"codes/code without attempts refused", func(b *broken) {
			b.putCode = func(ctx context.Context, c jwtauth.OneTimeCode) error {
				if c.Attempts <= 0 {
					c.Attempts = 1 << 30
				}
				return b.MemoryStore.PutCode(ctx, c)
			}
		}},
		"wrong code reads as not found": {"codes/wrong code refused", with(func(b *broken) consumer {
			return func(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
				c, err := b.MemoryStore.ConsumeCode(ctx, key, hash, now)
				if errors.Is(err, jwtauth.ErrConflict) {
					err = jwtauth.ErrNotFound
				}
				return c, err
			}
		})},
		"prefix is enough": {"codes/wrong code refused", with(func(b *broken) consumer {
			return func(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
				if len(hash) == 31 {
					hash = append(slices.Clone(hash), 'f')
				}
				return b.MemoryStore.ConsumeCode(ctx, key, hash, now)
			}
		})},
		"old code stays": {"codes/new code replaces the old one", func(b *broken) {
			var put cells[bool]
			b.putCode = func(ctx context.Context, c jwtauth.OneTimeCode) error {
				if _, ok := put.get(c.Key); ok && c.Key == "reset:1" {
					return nil
				}
				put.set(c.Key, true)
				return b.MemoryStore.PutCode(ctx, c)
			}
		}},
		"code keys ignore case": {"codes/other codes untouched", func(b *broken) {
			b.putCode = func(ctx context.Context, c jwtauth.OneTimeCode) error {
				c.Key = strings.ToLower(c.Key)
				return b.MemoryStore.PutCode(ctx, c)
			}
			b.consumeCode = func(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
				return b.MemoryStore.ConsumeCode(ctx, strings.ToLower(key), hash, now)
			}
		}},
		"shares the hash": {"codes/changes to arguments and results stay outside", func(b *broken) {
			var given cells[jwtauth.OneTimeCode]
			b.putCode = func(ctx context.Context, c jwtauth.OneTimeCode) error {
				given.set(c.Key, c)
				return b.MemoryStore.PutCode(ctx, c)
			}
			b.consumeCode = func(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
				if c, ok := given.get(key); ok && bytes.Equal(c.Hash, hash) {
					return c, nil
				}
				return b.MemoryStore.ConsumeCode(ctx, key, hash, now)
			}
		}},
		"claims end never": {"codes/first claim wins until it ends", func(b *broken) {
			b.claimOnce = func(ctx context.Context, key string, now, until time.Time) (bool, error) {
				return b.MemoryStore.ClaimOnce(ctx, key, now, until.AddDate(100, 0, 0))
			}
		}},
		"claims end early": {"codes/first claim wins until it ends", func(b *broken) {
			b.claimOnce = func(ctx context.Context, key string, now, until time.Time) (bool, error) {
				return b.MemoryStore.ClaimOnce(ctx, key, now, until.Add(-time.Second))
			}
		}},
		"everybody claims": {"codes/first claim wins until it ends", func(b *broken) {
			b.claimOnce = func(ctx context.Context, key string, now, until time.Time) (bool, error) { return true, ctx.Err() }
		}},
		"refused claim prolongs": {"codes/refused claim changes nothing", func(b *broken) {
			var ends cells[time.Time]
			b.claimOnce = func(ctx context.Context, key string, now, until time.Time) (bool, error) {
				end, taken := ends.get(key)
				if end.Before(until) {
					ends.set(key, until)
				}
				return !taken || !end.After(now), ctx.Err()
			}
		}},
		"claim removes the code": {"codes/claims and codes do not meet", func(b *broken) {
			b.claimOnce = func(ctx context.Context, key string, now, until time.Time) (bool, error) {
				_, _ = b.MemoryStore.ConsumeCode(ctx, key, nil, now)
				return b.MemoryStore.ClaimOnce(ctx, key, now, until)
			}
		}},
		"codes ignore the context": {"codes/cancelled context changes nothing", func(b *broken) {
			b.consumeCode = func(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
				return b.MemoryStore.ConsumeCode(context.WithoutCancel(ctx), key, hash, now)
			}
		}},
		"unknown code is wrong": {"codes/unknown code not found", with(func(b *broken) consumer {
			return func(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
				c, err := b.MemoryStore.ConsumeCode(ctx, key, hash, now)
				if errors.Is(err, jwtauth.ErrNotFound) {
					err = jwtauth.ErrConflict
				}
				return c, err
			}
		})},
	}
}

func racyCodes() map[string]mistake {
	// consume is ConsumeCode in three statements.
	consume := func(b *broken) {
		var codes cells[jwtauth.OneTimeCode]
		b.putCode = func(ctx context.Context, c jwtauth.OneTimeCode) error {
			codes.set(c.Key, c)
			return ctx.Err()
		}
		b.consumeCode = func(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
			c, ok := codes.get(key)
			if !ok || c.Attempts < 1 || !c.Expires.After(now) {
				return jwtauth.OneTimeCode{}, jwtauth.ErrNotFound
			}
			gap()
			if bytes.Equal(c.Hash, hash) {
				codes.delete(key)
				return c, nil
			}
			c.Attempts--
			codes.set(key, c)
			return jwtauth.OneTimeCode{}, jwtauth.ErrConflict
		}
	}
	return map[string]mistake{
		"compare, then remove code":      {"codes/one of many uses of a code wins", consume},
		"compare, then count attempt":    {"codes/concurrent guesses never exceed the attempts", consume},
		"look, then claim":               {"codes/one of many claims wins", racyClaim(false)},
		"look, then claim what was over": {"codes/one of many claims wins", racyClaim(true)},
	}
}

// racyClaim is atomic for new keys, if only the others are to be wrong.
func racyClaim(newKeysRight bool) func(b *broken) {
	return func(b *broken) {
		var ends cells[time.Time]
		b.claimOnce = func(ctx context.Context, key string, now, until time.Time) (bool, error) {
			end, taken := ends.get(key)
			if taken && end.After(now) {
				return false, ctx.Err()
			}
			gap()
			if newKeysRight && !taken {
				first, err := b.MemoryStore.ClaimOnce(ctx, key, now, until)
				if first {
					ends.set(key, until)
				}
				return first, err
			}
			ends.set(key, until)
			return true, ctx.Err()
		}
	}
}

func brokenCounters() map[string]mistake {
	type hitter = func(context.Context, string, int, time.Duration, time.Time) (jwtauth.Count, error)
	with := func(make func(b *broken) hitter) func(b *broken) {
		return func(b *broken) { b.hit = make(b) }
	}
	return map[string]mistake{
		"admits one too many": {"counters/exactly limit of many concurrent uses admitted", with(func(b *broken) hitter {
			return func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				return b.MemoryStore.Hit(ctx, key, limit+1, window, now)
			}
		})},
		"counts what it refuses": {"counters/exactly limit uses admitted", with(func(b *broken) hitter {
			return func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				c, err := b.MemoryStore.Hit(ctx, key, 1<<30, window, now)
				c.Admitted = c.N <= limit
				return c, err
			}
		})},
		"windows end never": {"counters/window ends when it said", with(func(b *broken) hitter {
			return func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				c, err := b.MemoryStore.Hit(ctx, key, limit, 1000*time.Hour, now)
				c.Reset = now.Add(window)
				return c, err
			}
		})},
		"each use prolongs the window": {"counters/window ends when it said", with(func(b *broken) hitter {
			return func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				c, err := b.MemoryStore.Hit(ctx, key, limit, window, now)
				c.Reset = now.Add(window)
				return c, err
			}
		})},
		"windows by the minute": {"counters/window ends when it said", with(func(b *broken) hitter {
			return func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				slot := fmt.Sprint(key, now.Add(window/2).Unix()/int64(window/time.Second))
				return b.MemoryStore.Hit(ctx, slot, limit, window, now)
			}
		})},
		"windows by the clock of the store": {"counters/window ends when it said", with(func(b *broken) hitter {
			return func(ctx context.Context, key string, limit int, window time.Duration, _ time.Time) (jwtauth.Count, error) {
				return b.MemoryStore.Hit(ctx, key, limit, window, time.Now())
			}
		})},
		"limit zero admits all": {"counters/limit zero admits nobody", with(func(b *broken) hitter {
			return func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				if limit == 0 {
					limit = 1 << 30
				}
				return b.MemoryStore.Hit(ctx, key, limit, window, now)
			}
		})},
		"first limit stays": {"counters/limit of the call decides", with(func(b *broken) hitter {
			var limits cells[int]
			return func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				if first, ok := limits.get(key); ok {
					limit = first
				}
				limits.set(key, limit)
				return b.MemoryStore.Hit(ctx, key, limit, window, now)
			}
		})},
		"counter keys trimmed": {"counters/keys count apart", with(func(b *broken) hitter {
			return func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				return b.MemoryStore.Hit(ctx, strings.TrimSpace(key), limit, window, now)
			}
		})},
		"counter keys cut": {"counters/long keys count apart", with(func(b *broken) hitter {
			return func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				return b.MemoryStore.Hit(ctx, key[:min(len(key), 255)], limit, window, now)
			}
		})},
		"refund below zero": {"counters/refund takes one use back", func(b *broken) {
			var debt cells[int]
			b.refund = func(ctx context.Context, key string, now time.Time) error {
				n, _ := debt.get(key)
				debt.set(key, n+1)
				return ctx.Err()
			}
			b.hit = func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				n, _ := debt.get(key)
				c, err := b.MemoryStore.Hit(ctx, key, limit+n, window, now)
				c.N -= n
				return c, err
			}
		}},
		"refund does nothing": {"counters/refund takes one use back", func(b *broken) {
			b.refund = func(ctx context.Context, key string, now time.Time) error { return ctx.Err() }
		}},
		"refund resets": {"counters/refund takes one use back", func(b *broken) {
			b.refund = func(ctx context.Context, key string, now time.Time) error { return b.MemoryStore.Reset(ctx, key) }
		}},
		"late refund counts": {"counters/refund after the window changes nothing", func(b *broken) {
			b.refund = func(ctx context.Context, key string, now time.Time) error {
				if err := b.MemoryStore.Refund(ctx, key, now); err != nil {
					return err
				}
				_, err := b.MemoryStore.Hit(ctx, key, 1, time.Minute, now) // an entry at -1 would do the same
				return err
			}
		}},
		"reset forgets all": {"counters/reset forgets one key", func(b *broken) {
			b.reset = func(ctx context.Context, key string) error {
				if ctx.Err() == nil {
					b.MemoryStore = jwtauth.NewMemoryStore()
				}
				return ctx.Err()
			}
		}},
		"reset does nothing": {"counters/reset forgets one key", func(b *broken) {
			b.reset = func(ctx context.Context, key string) error { return ctx.Err() }
		}},
		"counters ignore the context": {"counters/cancelled context changes nothing", with(func(b *broken) hitter {
			return func(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
				return b.MemoryStore.Hit(context.WithoutCancel(ctx), key, limit, window, now)
			}
		})},
	}
}

func racyCounters() map[string]mistake {
	type window struct {
		n   int
		end time.Time
	}
	return map[string]mistake{
		"read, then count": {"counters/exactly limit of many concurrent uses admitted", func(b *broken) {
			var windows cells[window]
			b.hit = func(ctx context.Context, key string, limit int, length time.Duration, now time.Time) (jwtauth.Count, error) {
				w, ok := windows.get(key)
				if !ok || !w.end.After(now) {
					w = window{end: now.Add(length)}
				}
				gap()
				if w.n >= limit {
					return jwtauth.Count{N: w.n, Reset: w.end}, ctx.Err()
				}
				w.n++
				windows.set(key, w)
				return jwtauth.Count{N: w.n, Admitted: true, Reset: w.end}, ctx.Err()
			}
		}},
		"read, then start the next window": {"counters/exactly limit of many concurrent uses admitted", func(b *broken) {
			var ends cells[time.Time]
			b.hit = func(ctx context.Context, key string, limit int, length time.Duration, now time.Time) (jwtauth.Count, error) {
				end, ok := ends.get(key)
				if ok && !end.After(now) {
					gap()
					_ = b.MemoryStore.Reset(ctx, key)
				}
				c, err := b.MemoryStore.Hit(ctx, key, limit, length, now)
				ends.set(key, c.Reset)
				return c, err
			}
		}},
		"read, then refund": {"counters/no concurrent refund is lost or doubled", func(b *broken) {
			var counts cells[window]
			b.hit = func(ctx context.Context, key string, limit int, length time.Duration, now time.Time) (jwtauth.Count, error) {
				w, ok := counts.get(key)
				if !ok {
					w.end = now.Add(length)
				}
				gap()
				w.n++
				counts.set(key, w)
				return jwtauth.Count{N: w.n, Admitted: w.n <= limit, Reset: w.end}, ctx.Err()
			}
			b.refund = func(ctx context.Context, key string, now time.Time) error {
				w, _ := counts.get(key)
				gap()
				w.n--
				counts.set(key, w)
				return ctx.Err()
			}
		}},
	}
}

// swallowingStores are down, and say something else.
func swallowingStores() map[string]mistake {
	const (
		users       = "faults/broken account store says so"
		sessions    = "faults/broken session store says so"
		revocations = "faults/broken revocation store says so"
		codes       = "faults/broken code store says so"
		counters    = "faults/broken counter store says so"
		audit       = "faults/broken audit store says so"
		cursors     = "faults/broken cursor store says so"
	)
	return map[string]mistake{
		"Revoked says no": {revocations, func(b *broken) {
			b.revoked = func(context.Context, jwtauth.TokenRef) (bool, error) { return false, nil }
		}},
		"Revoke says done": {revocations, func(b *broken) {
			b.revoke = func(context.Context, jwtauth.Revocation) error { return nil }
		}},
		"ConsumeCode says not found": {codes, func(b *broken) {
			b.consumeCode = func(context.Context, string, []byte, time.Time) (c jwtauth.OneTimeCode, _ error) {
				return c, jwtauth.ErrNotFound
			}
		}},
		"ConsumeCode says wrong": {codes, func(b *broken) {
			b.consumeCode = func(context.Context, string, []byte, time.Time) (c jwtauth.OneTimeCode, _ error) {
				return c, fmt.Errorf("consume: %w", jwtauth.ErrConflict)
			}
		}},
		"ClaimOnce says yes beside the error": {codes, func(b *broken) {
			b.claimOnce = func(context.Context, string, time.Time, time.Time) (bool, error) { return true, errClosed }
		}},
		"PutCode says done": {codes, func(b *broken) {
			b.putCode = func(context.Context, jwtauth.OneTimeCode) error { return nil }
		}},
		"Hit says admitted": {counters, func(b *broken) {
			b.hit = func(context.Context, string, int, time.Duration, time.Time) (jwtauth.Count, error) {
				return jwtauth.Count{Admitted: true}, nil
			}
		}},
		"Reset says done": {counters, func(b *broken) {
			b.reset = func(context.Context, string) error { return nil }
		}},
		"UserByLogin says not found": {users, func(b *broken) {
			b.userByLogin = func(context.Context, string) (u jwtauth.User, _ error) { return u, jwtauth.ErrNotFound }
		}},
		"CreateUser says taken": {users, func(b *broken) {
			b.createUser = func(context.Context, jwtauth.User) (u jwtauth.User, _ error) { return u, jwtauth.ErrLoginTaken }
		}},
		"ListUsers says none": {users, func(b *broken) {
			b.listUsers = func(context.Context, jwtauth.UserQuery) ([]jwtauth.User, error) { return nil, nil }
		}},
		"ListSessions says none": {sessions, func(b *broken) {
			b.listSessions = func(context.Context, jwtauth.SessionQuery) ([]jwtauth.Session, int, error) { return nil, 0, nil }
		}},
		"AdvanceSession says not found": {sessions, func(b *broken) {
			b.advanceSession = func(context.Context, jwtauth.SessionAdvance) (s jwtauth.Session, _ bool, _ error) {
				return s, false, jwtauth.ErrNotFound
			}
		}},
		"EndSessions says none": {sessions, func(b *broken) {
			b.endSessions = func(context.Context, string, string) ([]string, error) { return nil, nil }
		}},
		"Append says done": {audit, func(b *broken) {
			b.append = func(context.Context, jwtauth.AuditRecord) error { return nil }
		}},
		"EraseAuditKey says done": {audit, func(b *broken) {
			b.eraseAuditKey = func(context.Context, string) error { return nil }
		}},
		"Seal says conflict": {audit, func(b *broken) {
			b.seal = func(context.Context, jwtauth.AuditMark, []jwtauth.AuditSeal, jwtauth.AuditMark) error {
				return jwtauth.ErrConflict
			}
		}},
		"AuditKey says not found": {audit, func(b *broken) {
			b.auditKey = func(context.Context, string, jwtauth.AuditKey) (k jwtauth.AuditKey, _ error) {
				return k, jwtauth.ErrNotFound
			}
		}},
		"HoldCursor says held": {cursors, func(b *broken) {
			b.holdCursor = func(context.Context, string, string, int64, time.Time, time.Time) (c jwtauth.Cursor, _ error) {
				return c, jwtauth.ErrConflict
			}
		}},
		"MoveCursor says done": {cursors, func(b *broken) {
			b.moveCursor = func(context.Context, string, string, int64, time.Time) error { return nil }
		}},
	}
}
