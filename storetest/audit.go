package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func auditChecks() []check[jwtauth.AuditStore] {
	return []check[jwtauth.AuditStore]{
		{"records kept whole", "Append stores every field, however strange, but for the three that others set. " +
			"A record that is lost or cut is the one about the break-in.", recordsKept},
		{"record that is there not replaced", "an ID that is taken is ErrConflict, and the record stays as it is. " +
			"Otherwise whoever can append can rewrite.", recordsStay},
		{"query finds exactly what matches", "fields are compared byte by byte, From is within and To is not, the largest ID comes first.", recordsFound},
		{"pages neither repeat nor skip", "a page begins right before the record that ended the one before, whatever was appended since.", recordsPaged},
		{"places given in order", "Seal gives each record its place, and Follow returns them by it, no other ones and no more than asked for. " +
			"A consumer that is shown a record too early, or not at all, never sees it again.", recordsSealed},
		{"seal from another place refused", "the head must be where the caller saw it, and each record must be there and without a place; or nothing changes. " +
			"Otherwise two nodes make two chains.", sealsCompared},
		{"head proved anew without records", "Seal without records replaces the mark at the head.", headReproved},
		{"purge removes the front alone", "PurgeAudit removes sealed records up to its anchor, keeps the mark, and never goes back or beyond the head.", recordsPurged},
		{"key of a user made once", "the first candidate becomes the key; nothing changes it.", keysMade},
		{"destroyed key never comes back", "after EraseAuditKey there is no key and no new one, its records show none, and their AddressKey is empty. " +
			"What was to be forgotten is remembered otherwise.", keysErased},
		{"cancelled context changes nothing", whyCancelled, auditCancelled},
		{"no concurrent record is lost", "every Append that returned nil has stored its record, once.", recordsConcurrent},
		{"one of many concurrent seals succeeds", "Seal compares and sets at once, with any number of nodes at work. " +
			"Two that succeed give one place to two records.", sealsConcurrent},
		{"concurrent callers get one key", "the first candidate decides for everybody. " +
			"A record that is encrypted with another key can never be read.", keysConcurrent},
	}
}

// event returns a record that has a value in every field that Append stores.
func event(i int) jwtauth.AuditRecord {
	return jwtauth.AuditRecord{
		ID:   fmt.Sprintf("01890a5d-ac96-774b-bcce-%012x", i),
		Time: moment().Add(123456 * time.Microsecond), Name: jwtauth.EventLogin, Result: jwtauth.ResultRefused,
		Reason: "Zoë's 🦊 \"reason\"; \\ %s\n" + strings.Repeat("x", 100), Count: 1 << 40,
		Subject: "Ab3-_9zQ0mXo1Pq2Rs3TuA", AddressKey: "b1946ac924924d6e", Personal: []byte("\x01\x00\xff'\"\\\n" + strings.Repeat("p", 1000)),
	}
}

// appended stores records with these numbers.
func appended(t testing.TB, s jwtauth.AuditStore, numbers ...int) []jwtauth.AuditRecord {
	t.Helper()
	var records []jwtauth.AuditRecord
	for _, i := range numbers {
		r := event(i)
		wantNil(t, "Append", s.Append(t.Context(), r))
		records = append(records, r)
	}
	return records
}

// mark is one at a place, with a hash and a proof that name it.
func mark(sequence int64) jwtauth.AuditMark {
	if sequence == 0 {
		return jwtauth.AuditMark{}
	}
	hash := sha256.Sum256(fmt.Append(nil, sequence))
	return jwtauth.AuditMark{Sequence: sequence, Hash: hash[:], Proof: fmt.Appendf(nil, "proof of %d", sequence)}
}

// seal gives the records with these numbers the places behind from.
func seal(ctx context.Context, s jwtauth.AuditStore, from int64, numbers ...int) error {
	seals := make([]jwtauth.AuditSeal, len(numbers))
	for i, n := range numbers {
		sequence := from + int64(i) + 1
		seals[i] = jwtauth.AuditSeal{ID: event(n).ID, Sequence: sequence, Hash: mark(sequence).Hash}
	}
	return s.Seal(ctx, mark(from), seals, mark(from+int64(len(numbers))))
}

func wantIDs(t testing.TB, what string, got []jwtauth.AuditRecord, err error, numbers ...int) {
	t.Helper()
	wantNil(t, what, err)
	var gotIDs, want []string
	for _, r := range got {
		gotIDs = append(gotIDs, r.ID)
	}
	for _, i := range numbers {
		want = append(want, event(i).ID)
	}
	if !slices.Equal(gotIDs, want) {
		t.Errorf("%s: records %v, want %v", what, gotIDs, want)
	}
}

func wantMarks(t testing.TB, s jwtauth.AuditStore, anchor, head jwtauth.AuditMark) {
	t.Helper()
	gotAnchor, gotHead, err := s.AuditMarks(t.Context())
	wantNil(t, "AuditMarks", err)
	for what, m := range map[string][2]jwtauth.AuditMark{"anchor": {gotAnchor, anchor}, "head": {gotHead, head}} {
		if m[0].Sequence != m[1].Sequence || !bytes.Equal(m[0].Hash, m[1].Hash) || !bytes.Equal(m[0].Proof, m[1].Proof) {
			t.Errorf("AuditMarks: %s is %+v, want %+v", what, m[0], m[1])
		}
	}
}

func recordsKept(t testing.TB, s jwtauth.AuditStore) {
	want := event(1)
	given := want
	given.Sequence, given.Hash, given.Key = 7, []byte("hash"), []byte("key")
	wantNil(t, "Append", s.Append(t.Context(), given))
	bare := jwtauth.AuditRecord{ID: event(2).ID, Time: moment(), Name: jwtauth.EventReuse, Result: jwtauth.ResultOK, Count: 1, Personal: []byte{0}}
	wantNil(t, "Append", s.Append(t.Context(), bare))
	got, err := s.Query(t.Context(), jwtauth.AuditQuery{Limit: 10})
	wantIDs(t, "Query", got, err, 2, 1)
	if t.Failed() {
		return
	}
	wantSame(t, "bare record", got[0], bare)
	wantSame(t, "full record", got[1], want)
	got, err = s.Unsealed(t.Context(), 10)
	wantIDs(t, "Unsealed", got, err, 1, 2)
	if !t.Failed() {
		wantSame(t, "full record, unsealed", got[0], want)
	}
}

func recordsStay(t testing.TB, s jwtauth.AuditStore) {
	want := appended(t, s, 1)[0]
	other := event(1)
	other.Reason = "another"
	wantErr(t, "Append with an ID that is taken", s.Append(t.Context(), other), jwtauth.ErrConflict)
	got, err := s.Query(t.Context(), jwtauth.AuditQuery{Limit: 10})
	wantIDs(t, "Query", got, err, 1)
	if !t.Failed() {
		wantSame(t, "record", got[0], want)
	}
}

func recordsFound(t testing.TB, s jwtauth.AuditStore) {
	now := moment()
	for i := range 6 {
		r := event(i)
		r.Time = now.Add(time.Duration(i) * time.Minute)
		switch i {
		case 1:
			r.Subject = strings.ToLower(r.Subject)
		case 2:
			r.Name = "LOGIN"
		case 3:
			r.Result = jwtauth.ResultOK
		case 4:
			r.AddressKey = "other"
		case 5:
			r.Subject, r.AddressKey = "", ""
		}
		wantNil(t, "Append", s.Append(t.Context(), r))
	}
	e := event(0)
	for _, c := range []struct {
		what string
		q    jwtauth.AuditQuery
		want []int
	}{
		{"everything", jwtauth.AuditQuery{}, []int{5, 4, 3, 2, 1, 0}},
		{"by subject", jwtauth.AuditQuery{Subject: e.Subject}, []int{4, 3, 2, 0}},
		{"by name", jwtauth.AuditQuery{Name: e.Name}, []int{5, 4, 3, 1, 0}},
		{"by result", jwtauth.AuditQuery{Result: jwtauth.ResultOK}, []int{3}},
		{"by address", jwtauth.AuditQuery{AddressKeys: []string{"other"}}, []int{4}},
		{"by one of two addresses", jwtauth.AuditQuery{AddressKeys: []string{"other", e.AddressKey}}, []int{4, 3, 2, 1, 0}},
		{"by an address that nobody has", jwtauth.AuditQuery{AddressKeys: []string{"nobody's"}}, nil},
		{"from a time", jwtauth.AuditQuery{From: now.Add(4 * time.Minute)}, []int{5, 4}},
		{"to a time", jwtauth.AuditQuery{To: now.Add(2 * time.Minute)}, []int{1, 0}},
		{"by all of them", jwtauth.AuditQuery{Subject: e.Subject, Name: e.Name, Result: e.Result, AddressKeys: []string{e.AddressKey},
			From: now, To: now.Add(time.Minute), Before: event(3).ID}, []int{0}},
		{"by what is not there", jwtauth.AuditQuery{Name: "nothing"}, nil},
	} {
		c.q.Limit = 10
		got, err := s.Query(t.Context(), c.q)
		wantIDs(t, "Query "+c.what, got, err, c.want...)
	}
}

func recordsPaged(t testing.TB, s jwtauth.AuditStore) {
	appended(t, s, 10, 30, 20, 50, 40)
	wantNil(t, "Seal", seal(t.Context(), s, 0, 30, 10))
	got, err := s.Query(t.Context(), jwtauth.AuditQuery{Limit: 2})
	wantIDs(t, "first page", got, err, 50, 40)
	appended(t, s, 60, 45)
	got, err = s.Query(t.Context(), jwtauth.AuditQuery{Limit: 2, Before: event(40).ID})
	wantIDs(t, "second page", got, err, 30, 20)
	got, err = s.Query(t.Context(), jwtauth.AuditQuery{Limit: 2, Before: event(20).ID})
	wantIDs(t, "last page", got, err, 10)
	got, err = s.Query(t.Context(), jwtauth.AuditQuery{Limit: 2, Before: event(35).ID})
	wantIDs(t, "page before an ID that is not there", got, err, 30, 20)
}

func recordsSealed(t testing.TB, s jwtauth.AuditStore) {
	wantMarks(t, s, mark(0), mark(0))
	got, err := s.Follow(t.Context(), 0, 10)
	wantIDs(t, "Follow in an empty store", got, err)
	kept := appended(t, s, 1, 2, 3, 4, 5)
	got, err = s.Unsealed(t.Context(), 3)
	wantIDs(t, "Unsealed", got, err, 1, 2, 3)
	wantNil(t, "Seal", seal(t.Context(), s, 0, 3, 1))
	wantNil(t, "Seal", seal(t.Context(), s, 2, 5))
	wantMarks(t, s, mark(0), mark(3))
	got, err = s.Unsealed(t.Context(), 10)
	wantIDs(t, "Unsealed", got, err, 2, 4)
	got, err = s.Follow(t.Context(), 0, 10)
	wantIDs(t, "Follow", got, err, 3, 1, 5)
	if !t.Failed() {
		want := kept[0]
		want.Sequence, want.Hash = 2, mark(2).Hash
		wantSame(t, "sealed record", got[1], want)
	}
	got, err = s.Follow(t.Context(), 1, 1)
	wantIDs(t, "Follow after 1, limit 1", got, err, 1)
	got, err = s.Follow(t.Context(), 3, 10)
	wantIDs(t, "Follow after the head", got, err)
	got, err = s.Follow(t.Context(), 99, 10)
	wantIDs(t, "Follow far after the head", got, err)
	got, err = s.Query(t.Context(), jwtauth.AuditQuery{Limit: 10})
	wantIDs(t, "Query", got, err, 5, 4, 3, 2, 1)
}

func sealsCompared(t testing.TB, s jwtauth.AuditStore) {
	appended(t, s, 1, 2, 3)
	wantNil(t, "Seal", seal(t.Context(), s, 0, 1))
	for what, err := range map[string]error{
		"from the beginning":           seal(t.Context(), s, 0, 2),
		"from beyond the head":         seal(t.Context(), s, 5, 2),
		"of a record that has a place": seal(t.Context(), s, 1, 2, 1),
		"of a record that is not kept": seal(t.Context(), s, 1, 2, 99),
	} {
		wantErr(t, "Seal "+what, err, jwtauth.ErrConflict)
	}
	wantMarks(t, s, mark(0), mark(1))
	got, err := s.Unsealed(t.Context(), 10)
	wantIDs(t, "Unsealed", got, err, 2, 3)
}

func headReproved(t testing.TB, s jwtauth.AuditStore) {
	appended(t, s, 1)
	wantNil(t, "Seal", seal(t.Context(), s, 0, 1))
	again := mark(1)
	again.Proof = []byte("another proof")
	wantNil(t, "Seal without records", s.Seal(t.Context(), mark(1), nil, again))
	wantMarks(t, s, mark(0), again)
	wantErr(t, "Seal without records, from elsewhere", s.Seal(t.Context(), mark(0), nil, mark(0)), jwtauth.ErrConflict)
	wantMarks(t, s, mark(0), again)
}

func recordsPurged(t testing.TB, s jwtauth.AuditStore) {
	appended(t, s, 1, 2, 3, 4, 5)
	wantNil(t, "Seal", seal(t.Context(), s, 0, 5, 4, 1))
	wantErr(t, "PurgeAudit beyond the head", s.PurgeAudit(t.Context(), mark(4)), jwtauth.ErrConflict)
	wantNil(t, "PurgeAudit", s.PurgeAudit(t.Context(), mark(2)))
	wantMarks(t, s, mark(2), mark(3))
	got, err := s.Query(t.Context(), jwtauth.AuditQuery{Limit: 10})
	wantIDs(t, "Query", got, err, 3, 2, 1)
	got, err = s.Follow(t.Context(), 0, 10)
	wantIDs(t, "Follow", got, err, 1)
	wantErr(t, "PurgeAudit to an earlier place", s.PurgeAudit(t.Context(), mark(1)), jwtauth.ErrConflict)
	again := mark(2)
	again.Proof = []byte("another proof")
	wantNil(t, "PurgeAudit to the same place", s.PurgeAudit(t.Context(), again))
	wantMarks(t, s, again, mark(3))
	wantNil(t, "Seal", seal(t.Context(), s, 3, 2))
	wantNil(t, "PurgeAudit to the head", s.PurgeAudit(t.Context(), mark(4)))
	wantMarks(t, s, mark(4), mark(4))
	got, err = s.Query(t.Context(), jwtauth.AuditQuery{Limit: 10})
	wantIDs(t, "Query", got, err, 3)
}

// auditKey is a candidate that names itself.
func auditKey(i int) jwtauth.AuditKey {
	key := sha256.Sum256(fmt.Append(nil, "key", i))
	return jwtauth.AuditKey{Subject: fmt.Sprintf("Subject-%d", i), Key: key[:]}
}

func wantKey(t testing.TB, what string, got jwtauth.AuditKey, err error, want jwtauth.AuditKey) {
	t.Helper()
	wantNil(t, what, err)
	if got.Subject != want.Subject || !bytes.Equal(got.Key, want.Key) {
		t.Errorf("%s: key of %q, want that of %q", what, got.Subject, want.Subject)
	}
}

func keysMade(t testing.TB, s jwtauth.AuditStore) {
	ctx := t.Context()
	_, err := s.AuditKey(ctx, "alice", jwtauth.AuditKey{})
	wantErr(t, "AuditKey that nobody made", err, jwtauth.ErrNotFound)
	k, err := s.AuditKey(ctx, "alice", auditKey(1))
	wantKey(t, "AuditKey, first", k, err, auditKey(1))
	k, err = s.AuditKey(ctx, "alice", auditKey(2))
	wantKey(t, "AuditKey, second", k, err, auditKey(1))
	k, err = s.AuditKey(ctx, "alice", jwtauth.AuditKey{})
	wantKey(t, "AuditKey without a candidate", k, err, auditKey(1))
	k, err = s.AuditKey(ctx, "Alice", auditKey(3))
	wantKey(t, "AuditKey of another user", k, err, auditKey(3))
}

func keysErased(t testing.TB, s jwtauth.AuditStore) {
	ctx := t.Context()
	for i, user := range []string{"alice", "bob"} {
		k, err := s.AuditKey(ctx, user, auditKey(i))
		wantKey(t, "AuditKey", k, err, auditKey(i))
		r := event(i)
		r.Subject = auditKey(i).Subject
		wantNil(t, "Append", s.Append(ctx, r))
	}
	wantNil(t, "Seal", seal(ctx, s, 0, 0, 1))
	wantNil(t, "EraseAuditKey", s.EraseAuditKey(ctx, "alice"))
	wantNil(t, "EraseAuditKey again", s.EraseAuditKey(ctx, "alice"))
	wantNil(t, "EraseAuditKey of a user without a key", s.EraseAuditKey(ctx, "carol"))
	for _, user := range []string{"alice", "carol"} {
		_, err := s.AuditKey(ctx, user, auditKey(9))
		wantErr(t, "AuditKey of "+user+", erased", err, jwtauth.ErrNotFound)
	}
	k, err := s.AuditKey(ctx, "bob", jwtauth.AuditKey{})
	wantKey(t, "AuditKey of somebody else", k, err, auditKey(1))
	for what, read := range map[string]func() ([]jwtauth.AuditRecord, error){
		"Follow": func() ([]jwtauth.AuditRecord, error) { return s.Follow(ctx, 0, 10) },
		"Query": func() ([]jwtauth.AuditRecord, error) {
			list, err := s.Query(ctx, jwtauth.AuditQuery{Limit: 10})
			slices.Reverse(list)
			return list, err
		},
	} {
		list, err := read()
		wantIDs(t, what, list, err, 0, 1)
		if t.Failed() {
			return
		}
		if len(list[0].Key) > 0 || list[0].AddressKey != "" || list[0].Subject == "" {
			t.Errorf("%s: an erased record has a key of %d bytes and AddressKey %q", what, len(list[0].Key), list[0].AddressKey)
		}
		if !bytes.Equal(list[1].Key, auditKey(1).Key) || list[1].AddressKey == "" {
			t.Errorf("%s: the record of somebody else was erased as well", what)
		}
	}
}

func auditCalls(s jwtauth.AuditStore) []call {
	return []call{
		{"Append", func(ctx context.Context) (bool, error) { return false, s.Append(ctx, event(1)) }},
		{"Query", func(ctx context.Context) (bool, error) {
			list, err := s.Query(ctx, jwtauth.AuditQuery{Limit: 1})
			return len(list) > 0, err
		}},
		{"Follow", func(ctx context.Context) (bool, error) {
			list, err := s.Follow(ctx, 0, 1)
			return len(list) > 0, err
		}},
		{"AuditMarks", func(ctx context.Context) (bool, error) {
			_, _, err := s.AuditMarks(ctx)
			return false, err
		}},
		{"Unsealed", func(ctx context.Context) (bool, error) {
			list, err := s.Unsealed(ctx, 1)
			return len(list) > 0, err
		}},
		{"Seal", func(ctx context.Context) (bool, error) { return false, s.Seal(ctx, mark(0), nil, mark(0)) }},
		{"PurgeAudit", func(ctx context.Context) (bool, error) { return false, s.PurgeAudit(ctx, mark(0)) }},
		{"AuditKey", func(ctx context.Context) (bool, error) {
			k, err := s.AuditKey(ctx, "dave", auditKey(4))
			return k.Subject != "", err
		}},
		{"EraseAuditKey", func(ctx context.Context) (bool, error) { return false, s.EraseAuditKey(ctx, "erin") }},
	}
}

func auditCancelled(t testing.TB, s jwtauth.AuditStore) {
	refuseAll(t, cancelled(t), auditCalls(s))
	got, err := s.Query(t.Context(), jwtauth.AuditQuery{Limit: 10})
	wantIDs(t, "Query", got, err)
	_, err = s.AuditKey(t.Context(), "dave", jwtauth.AuditKey{})
	wantErr(t, "AuditKey that nobody made", err, jwtauth.ErrNotFound)
	k, err := s.AuditKey(t.Context(), "erin", auditKey(5))
	wantKey(t, "AuditKey that nobody erased", k, err, auditKey(5))
}

func recordsConcurrent(t testing.TB, s jwtauth.AuditStore) {
	errs := make([]error, racers)
	together(racers, func(i int) {
		for round := range rounds {
			if errs[i] == nil {
				errs[i] = s.Append(t.Context(), event(i*rounds+round))
			}
		}
	})
	wantTally(t, "Append", errs, racers)
	got, err := s.Query(t.Context(), jwtauth.AuditQuery{Limit: 1000})
	wantNil(t, "Query", err)
	ids := make(map[string]bool)
	for _, r := range got {
		ids[r.ID] = true
	}
	if len(got) != racers*rounds || len(ids) != racers*rounds {
		t.Errorf("%d records with %d ids are kept, want %d", len(got), len(ids), racers*rounds)
	}
}

func sealsConcurrent(t testing.TB, s jwtauth.AuditStore) {
	for round := range rounds {
		appended(t, s, 2*round, 2*round+1)
		errs := make([]error, racers)
		together(racers, func(i int) {
			order := []int{2 * round, 2*round + 1}
			if i%2 == 1 {
				slices.Reverse(order)
			}
			errs[i] = seal(t.Context(), s, int64(2*round), order...)
		})
		wantTally(t, "Seal", errs, 1, jwtauth.ErrConflict)
	}
	got, err := s.Follow(t.Context(), 0, 100)
	wantNil(t, "Follow", err)
	for i, r := range got {
		if r.Sequence != int64(i)+1 {
			t.Errorf("Follow: place %d has Sequence %d", i+1, r.Sequence)
		}
	}
	if len(got) != 2*rounds {
		t.Errorf("Follow: %d records, want %d", len(got), 2*rounds)
	}
}

func keysConcurrent(t testing.TB, s jwtauth.AuditStore) {
	for round := range rounds {
		user := fmt.Sprint("user", round)
		errs, keys := make([]error, racers), make([]jwtauth.AuditKey, racers)
		together(racers, func(i int) {
			keys[i], errs[i] = s.AuditKey(t.Context(), user, auditKey(round*racers+i))
		})
		wantTally(t, "AuditKey", errs, racers)
		for _, k := range keys[1:] {
			wantKey(t, "AuditKey", k, nil, keys[0])
		}
	}
}
