package storetest_test

import (
	"context"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// Stores that get the trail wrong.

type (
	record  = jwtauth.AuditRecord
	records = []jwtauth.AuditRecord
)

func brokenTrail() map[string]mistake {
	return map[string]mistake{
		"records dropped": {"audit/records kept whole", func(b *broken) {
			b.append = func(ctx context.Context, r record) error { return ctx.Err() }
		}},
		"records cut": {"audit/records kept whole", func(b *broken) {
			b.append = func(ctx context.Context, r record) error {
				r.Personal = r.Personal[:min(len(r.Personal), 100)]
				return b.MemoryStore.Append(ctx, r)
			}
		}},
		"record overwritten": {"audit/record that is there not replaced", func(b *broken) {
			var last cells[record]
			b.append = func(ctx context.Context, r record) error {
				last.set(r.ID, r)
				if err := b.MemoryStore.Append(ctx, r); err != jwtauth.ErrConflict {
					return err
				}
				return nil
			}
			b.query = func(ctx context.Context, q jwtauth.AuditQuery) (records, error) {
				list, err := b.MemoryStore.Query(ctx, q)
				for i := range list {
					list[i], _ = last.get(list[i].ID)
				}
				return list, err
			}
		}},
		"query folds case": {"audit/query finds exactly what matches", func(b *broken) {
			b.query = func(ctx context.Context, q jwtauth.AuditQuery) (records, error) {
				subject, most := q.Subject, q.Limit
				q.Subject, q.Limit = "", 1000
				list, err := b.MemoryStore.Query(ctx, q)
				var found records
				for _, r := range list {
					if (subject == "" || strings.EqualFold(r.Subject, subject)) && len(found) < most {
						found = append(found, r)
					}
				}
				return found, err
			}
		}},
		"query includes To": {"audit/query finds exactly what matches", func(b *broken) {
			b.query = func(ctx context.Context, q jwtauth.AuditQuery) (records, error) {
				if !q.To.IsZero() {
					q.To = q.To.Add(time.Microsecond)
				}
				return b.MemoryStore.Query(ctx, q)
			}
		}},
		"pages by offset": {"audit/pages neither repeat nor skip", func(b *broken) {
			var shown cells[int]
			b.query = func(ctx context.Context, q jwtauth.AuditQuery) (records, error) {
				skip := 0
				if q.Before != "" {
					skip, _ = shown.get("")
				}
				most := q.Limit
				q.Before, q.Limit = "", 1000
				list, err := b.MemoryStore.Query(ctx, q)
				list = list[min(skip, len(list)):]
				list = list[:min(most, len(list))]
				shown.set("", skip+len(list))
				return list, err
			}
		}},
		"keys replaced": {"audit/key of a user made once", func(b *broken) {
			var keys cells[jwtauth.AuditKey]
			b.auditKey = func(ctx context.Context, userID string, candidate jwtauth.AuditKey) (jwtauth.AuditKey, error) {
				if candidate.Subject != "" {
					keys.set(userID, candidate)
				}
				k, ok := keys.get(userID)
				if !ok {
					return k, jwtauth.ErrNotFound
				}
				return k, ctx.Err()
			}
		}},
		"erased key made anew": {"audit/destroyed key never comes back", func(b *broken) {
			b.auditKey = func(ctx context.Context, userID string, candidate jwtauth.AuditKey) (jwtauth.AuditKey, error) {
				k, err := b.MemoryStore.AuditKey(ctx, userID, candidate)
				if err == jwtauth.ErrNotFound && candidate.Subject != "" {
					return candidate, nil
				}
				return k, err
			}
		}},
		"address left behind": {"audit/destroyed key never comes back", func(b *broken) {
			var addresses cells[string]
			b.append = func(ctx context.Context, r record) error {
				addresses.set(r.ID, r.AddressKey)
				return b.MemoryStore.Append(ctx, r)
			}
			b.query = func(ctx context.Context, q jwtauth.AuditQuery) (records, error) {
				list, err := b.MemoryStore.Query(ctx, q)
				for i := range list {
					list[i].AddressKey, _ = addresses.get(list[i].ID)
				}
				return list, err
			}
		}},
		"records ignore the context": {"audit/cancelled context changes nothing", func(b *broken) {
			b.append = func(ctx context.Context, r record) error {
				return b.MemoryStore.Append(context.WithoutCancel(ctx), r)
			}
		}},
		"records sampled": {"audit/no concurrent record is lost", func(b *broken) {
			var busy cells[bool]
			b.append = func(ctx context.Context, r record) error {
				if on, _ := busy.get(""); on {
					return nil
				}
				busy.set("", true)
				gap()
				busy.set("", false)
				return b.MemoryStore.Append(ctx, r)
			}
		}},
		"keys checked, then made": {"audit/concurrent callers get one key", func(b *broken) {
			var keys cells[jwtauth.AuditKey]
			b.auditKey = func(ctx context.Context, userID string, candidate jwtauth.AuditKey) (jwtauth.AuditKey, error) {
				if k, ok := keys.get(userID); ok {
					return k, ctx.Err()
				}
				gap()
				keys.set(userID, candidate)
				return candidate, ctx.Err()
			}
		}},
	}
}

func brokenChain() map[string]mistake {
	return map[string]mistake{
		"follow shows what has no place": {"audit/places given in order", func(b *broken) {
			b.follow = func(ctx context.Context, after int64, limit int) (records, error) {
				list, err := b.MemoryStore.Follow(ctx, after, limit)
				waiting, _ := b.MemoryStore.Unsealed(ctx, max(limit-len(list), 0))
				return append(list, waiting...), err
			}
		}},
		"follow includes after": {"audit/places given in order", func(b *broken) {
			b.follow = func(ctx context.Context, after int64, limit int) (records, error) {
				return b.MemoryStore.Follow(ctx, max(after-1, 0), limit)
			}
		}},
		"seal does not compare": {"audit/seal from another place refused", func(b *broken) {
			b.seal = func(ctx context.Context, _ jwtauth.AuditMark, seals []jwtauth.AuditSeal, head jwtauth.AuditMark) error {
				_, now, err := b.MemoryStore.AuditMarks(ctx)
				if err != nil {
					return err
				}
				return b.MemoryStore.Seal(ctx, now, seals, head)
			}
		}},
		"proof kept as it was": {"audit/head proved anew without records", func(b *broken) {
			b.seal = func(ctx context.Context, from jwtauth.AuditMark, seals []jwtauth.AuditSeal, head jwtauth.AuditMark) error {
				if len(seals) == 0 {
					return ctx.Err()
				}
				return b.MemoryStore.Seal(ctx, from, seals, head)
			}
		}},
		"purge goes back": {"audit/purge removes the front alone", func(b *broken) {
			b.purgeAudit = func(ctx context.Context, anchor jwtauth.AuditMark) error {
				if err := b.MemoryStore.PurgeAudit(ctx, anchor); err != jwtauth.ErrConflict {
					return err
				}
				return nil
			}
		}},
		"purge stops short": {"audit/purge removes the front alone", func(b *broken) {
			b.purgeAudit = func(ctx context.Context, anchor jwtauth.AuditMark) error { return ctx.Err() }
		}},
		"seal checked, then set": {"audit/one of many concurrent seals succeeds", func(b *broken) {
			b.seal = func(ctx context.Context, from jwtauth.AuditMark, seals []jwtauth.AuditSeal, head jwtauth.AuditMark) error {
				_, now, err := b.MemoryStore.AuditMarks(ctx)
				if err != nil {
					return err
				}
				if now.Sequence != from.Sequence {
					return jwtauth.ErrConflict
				}
				gap()
				if err := b.MemoryStore.Seal(ctx, from, seals, head); err != jwtauth.ErrConflict {
					return err
				}
				return nil
			}
		}},
	}
}

func brokenCursors() map[string]mistake {
	return map[string]mistake{
		"cursor starts anew": {"cursors/cursor made where it is to start", func(b *broken) {
			b.holdCursor = func(ctx context.Context, name, holder string, start int64, now, until time.Time) (jwtauth.Cursor, error) {
				c, err := b.MemoryStore.HoldCursor(ctx, name, holder, start, now, until)
				c.Sequence = start
				return c, err
			}
		}},
		"holds ignored": {"cursors/one holder at a time", func(b *broken) {
			b.holdCursor = func(ctx context.Context, name, holder string, start int64, now, until time.Time) (jwtauth.Cursor, error) {
				c, err := b.MemoryStore.HoldCursor(ctx, name, holder, start, now, until)
				if err == jwtauth.ErrConflict {
					return jwtauth.Cursor{Name: name, Holder: holder, Until: until}, nil
				}
				return c, err
			}
		}},
		"anybody moves": {"cursors/only the holder moves a cursor", func(b *broken) {
			b.moveCursor = func(ctx context.Context, name, holder string, to int64, now time.Time) error {
				list, err := b.MemoryStore.Cursors(ctx)
				if err != nil || len(list) == 0 {
					return b.MemoryStore.MoveCursor(ctx, name, holder, to, now)
				}
				return b.MemoryStore.MoveCursor(ctx, name, list[0].Holder, to, now)
			}
		}},
		"release does nothing": {"cursors/released cursor free at once", func(b *broken) {
			b.releaseCursor = func(ctx context.Context, name, holder string) error { return ctx.Err() }
		}},
		"times left out of the list": {"cursors/cursors listed by name", func(b *broken) {
			b.cursors = func(ctx context.Context) ([]jwtauth.Cursor, error) {
				list, err := b.MemoryStore.Cursors(ctx)
				for i := range list {
					list[i].Until = time.Time{}
				}
				return list, err
			}
		}},
		"dead letters kept once": {"cursors/dead letters kept until dropped", func(b *broken) {
			b.putDeadLetter = func(ctx context.Context, d jwtauth.DeadLetter) error {
				list, err := b.MemoryStore.DeadLetters(ctx, d.Cursor, d.Sequence-1, 1)
				if err == nil && len(list) == 1 && list[0].Sequence == d.Sequence {
					return nil
				}
				return b.MemoryStore.PutDeadLetter(ctx, d)
			}
		}},
		"cursors ignore the context": {"cursors/cancelled context changes nothing", func(b *broken) {
			b.moveCursor = func(ctx context.Context, name, holder string, to int64, now time.Time) error {
				return b.MemoryStore.MoveCursor(context.WithoutCancel(ctx), name, holder, to, now)
			}
		}},
		"hold checked, then set": {"cursors/one of many concurrent holders wins", func(b *broken) {
			var holds cells[jwtauth.Cursor]
			b.holdCursor = func(ctx context.Context, name, holder string, start int64, now, until time.Time) (jwtauth.Cursor, error) {
				c, known := holds.get(name)
				if known && c.Holder != holder && c.Until.After(now) {
					return jwtauth.Cursor{}, jwtauth.ErrConflict
				}
				gap()
				c = jwtauth.Cursor{Name: name, Sequence: start, Holder: holder, Until: until}
				holds.set(name, c)
				return c, ctx.Err()
			}
		}},
	}
}
