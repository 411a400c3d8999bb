package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func userChecks() []check[jwtauth.UserStore] {
	return []check[jwtauth.UserStore]{
		{"account reads back whole", "every field that was stored comes back as it was, times to the microsecond. " +
			"What is lost is a right, a password or a name that changes by itself.", accountReadsBack},
		{"account without roles and meta reads back without", "absent and empty are one. " +
			"A store that reads a default role from nothing gives rights away.", emptyAccountReadsBack},
		{"new account starts at version one", "Version and CredentialVersion start at 1, whatever the caller passed. " +
			"Tokens of a chosen version would escape the user's watermark.", versionsStartAtOne},
		{"unknown account not found", "absence is ErrNotFound and no zero account. " +
			"A zero account is one without password, limits or owner.", unknownAccount},
		{"similar keys are different accounts", "keys are compared byte by byte. " +
			"Where a collation folds them, one user logs in as, or locks out, the other.", similarKeys},
		{"similar key finds nobody", "a look-up compares byte by byte and knows no wildcard. " +
			"A pattern in the login field would reach the first account that fits.", similarKeyFindsNobody},
		{"long keys differ to the last byte", "a key that is accepted is kept whole. " +
			"Where a column cuts it, a long name takes over the account of a shorter one.", longKeys},
		{"taken login refused", "names and addresses are one name space. " +
			"Whoever registers the name that is another's address is mistaken for that person.", takenLogin},
		{"taken e-mail refused", "addresses and names are one name space. " +
			"Whoever registers another's name as an address receives that person's reset link.", takenEmail},
		{"taken identity refused", "an identity at a connected site belongs to one account and finds it. " +
			"Two accounts with one identity: a sign-in from that site reaches somebody else's.", takenIdentity},
		{"refused account leaves nothing behind", "a refused CreateUser stores nothing. " +
			"Half an account blocks a name for good.", refusedLeavesNothing},
		{"login equal to own e-mail accepted", "an account does not conflict with itself. " +
			"Hosts that use the address as the name could register nobody.", ownEmailAsLogin},
		{"accounts without e-mail live side by side", "an empty key is no key: it conflicts with nothing and finds nobody. " +
			"Otherwise one account without address is all there can be, or an empty login finds it.", emptyKeys},
		{"id chosen by the host kept", "an ID that the caller sets is used, and refused if an account has it. " +
			"An import that changes ids gives content to other owners.", chosenID},
		{"ids never come back", "an id is never given twice, even after deletion. " +
			"The next account would inherit tokens, sessions, content and rights of the deleted one.", idsNeverComeBack},
		{"update stores the change", "UpdateUser replaces every field but Created and raises Version by one.", updateStores},
		{"update of an old version refused", "UpdateUser compares Version. " +
			"Otherwise a change of profile that was read before brings back the old password hash or role.", updateComparesVersion},
		{"update of an unknown account refused", "UpdateUser never creates. " +
			"A profile change in flight would bring a deleted account back.", updateNeverCreates},
		{"update to a taken key refused", "UpdateUser checks keys as CreateUser does.", updateToTakenKey},
		{"renamed account frees its old keys", "after a change the old keys find nobody and can be taken. " +
			"Otherwise an address that was given up still opens the account.", renameFreesKeys},
		{"deleted account is gone and its keys are free", "DeleteUser removes the account and frees its keys.", deleteFrees},
		{"changes to arguments and results stay outside", "values are copied in and out. " +
			"A handler that edits what it got would change roles for everybody.", usersIsolated},
		{"pages show every account once", "a UserLister returns all accounts in a stable order, also when the last one of a page is deleted meanwhile.", usersInPages},
		{"cancelled context changes nothing", whyCancelled, usersCancelled},
		{"one of many registrations of a name wins", "CreateUser is atomic over both kinds of keys. " +
			"Two accounts with one name: one person gets the other's reset link.", oneRegistrationWins},
		{"concurrent accounts get different ids", "ids are unique among concurrent callers. " +
			"Two people with one id share an account.", concurrentIDs},
		{"one of many updates of a version wins", "UpdateUser compares and swaps atomically. " +
			"Two winners: the loser's change (a disabled account, a new password) is lost without a trace.", oneUpdateWins},
		{"no update is lost", "every UpdateUser that returned nil is in effect, in sequence.", noUpdateLost},
		{"one of many renames to a name wins", "UpdateUser is atomic over keys too.", oneRenameWins},
	}
}

// account returns one whose keys derive from name.
func account(name string) jwtauth.User {
	return jwtauth.User{
		Login: name, LoginKey: name,
		Email: name + "@example.com", EmailKey: name + "@example.com",
		Roles: []string{"subscriber"}, PasswordHash: "$test$" + "hash", Created: moment(),
	}
}

// fullAccount has a value in every field, chosen to break what escapes or
// converts.
func fullAccount() jwtauth.User {
	return jwtauth.User{
		Login: "Zoë 🦊", LoginKey: "zoë 🦊", Email: "Zoe+a'b@Example.COM", EmailKey: "zoe+a'b@example.com",
		DisplayName:  "  Zoë \"O'Hara\" <b>&amp;\\ 𝔷 👩‍👩‍👧\n%s ${x} ",
		Roles:        []string{"editor", "with space", "a,b;c|d", "Ünï"},
		PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaC+/aGFzaA",
		Identities:   []string{"sso site-a 42", "sso b:c ünï|;,"},
		Disabled:     true, EmailVerified: true,
		Meta:    map[string]string{"locale": "de", "Empty": "", "quote\"'": "tab\tline\n", "emoji 🦊": "{\"a\":[1]}", "n": "007"},
		Created: moment().Add(123456 * time.Microsecond),
	}
}

func createUser(t testing.TB, s jwtauth.UserStore, u jwtauth.User) jwtauth.User {
	t.Helper()
	got, err := s.CreateUser(t.Context(), u)
	wantNil(t, "CreateUser", err)
	if got.ID == "" {
		t.Fatal("CreateUser: the new account has no id")
	}
	return got
}

func userByID(t testing.TB, s jwtauth.UserStore, id string) jwtauth.User {
	t.Helper()
	u, err := s.UserByID(t.Context(), id)
	wantNil(t, "UserByID", err)
	return u
}

// wantOwner fails unless key finds the account with that id; "" for nobody.
func wantOwner(t testing.TB, s jwtauth.UserStore, key, id string) {
	t.Helper()
	u, err := s.UserByLogin(t.Context(), key)
	switch {
	case id == "":
		wantErr(t, fmt.Sprintf("UserByLogin(%q)", key), err, jwtauth.ErrNotFound)
	case err != nil:
		t.Errorf("UserByLogin(%q): unexpected error: %v", key, err)
	case u.ID != id:
		t.Errorf("UserByLogin(%q) finds another account", key)
	}
}

func accountReadsBack(t testing.TB, s jwtauth.UserStore) {
	want := fullAccount()
	created := createUser(t, s, want)
	want.ID, want.Version, want.CredentialVersion = created.ID, 1, 1
	wantSame(t, "result of CreateUser", created, want)
	wantSame(t, "UserByID", userByID(t, s, created.ID), want)
	for _, key := range append([]string{want.LoginKey, want.EmailKey}, want.Identities...) {
		got, err := s.UserByLogin(t.Context(), key)
		wantNil(t, "UserByLogin", err)
		wantSame(t, "UserByLogin", got, want)
	}
}

func emptyAccountReadsBack(t testing.TB, s jwtauth.UserStore) {
	for i, u := range []jwtauth.User{{}, {Roles: []string{}, Meta: map[string]string{}}} {
		u.LoginKey, u.Created = fmt.Sprintf("user%d", i), moment()
		created := createUser(t, s, u)
		u.ID, u.Version, u.CredentialVersion = created.ID, 1, 1
		wantSame(t, "UserByID", userByID(t, s, created.ID), u)
	}
}

func versionsStartAtOne(t testing.TB, s jwtauth.UserStore) {
	u := account("alice")
	u.Version, u.CredentialVersion = 41, 42
	created := createUser(t, s, u)
	for _, got := range []jwtauth.User{created, userByID(t, s, created.ID)} {
		if got.Version != 1 || got.CredentialVersion != 1 {
			t.Errorf("new account has Version %d and CredentialVersion %d, want 1 and 1", got.Version, got.CredentialVersion)
		}
	}
}

func unknownAccount(t testing.TB, s jwtauth.UserStore) {
	createUser(t, s, account("alice"))
	_, err := s.UserByID(t.Context(), "999999999")
	wantErr(t, "UserByID of an unknown id", err, jwtauth.ErrNotFound)
	_, err = s.UserByID(t.Context(), "")
	wantErr(t, "UserByID of no id", err, jwtauth.ErrNotFound)
	wantOwner(t, s, "bob", "")
	wantErr(t, "DeleteUser of an unknown id", s.DeleteUser(t.Context(), "999999999"), jwtauth.ErrNotFound)
}

func similarKeys(t testing.TB, s jwtauth.UserStore) {
	for i, pair := range lookalikes {
		var ids []string
		for j, key := range []string{pair.a, pair.b} {
			u := account(fmt.Sprintf("login-%d-%d", i, j))
			u.LoginKey, u.EmailKey = key, "mail:"+key
			created, err := s.CreateUser(t.Context(), u)
			if err != nil {
				t.Errorf("%q and %q, which differ in %s, can't both have an account: %v", pair.a, pair.b, pair.what, err)
				break
			}
			ids = append(ids, created.ID)
		}
		if len(ids) < 2 {
			continue
		}
		for j, key := range []string{pair.a, pair.b} {
			wantOwner(t, s, key, ids[j])
			wantOwner(t, s, "mail:"+key, ids[j])
		}
	}
}

func similarKeyFindsNobody(t testing.TB, s jwtauth.UserStore) {
	for i, pair := range lookalikes {
		u := account(fmt.Sprintf("login-%d", i))
		u.LoginKey, u.EmailKey = pair.b, "mail:"+pair.b
		createUser(t, s, u)
	}
	for _, pair := range lookalikes {
		wantOwner(t, s, pair.a, "")
		wantOwner(t, s, "mail:"+pair.a, "")
	}
	for _, key := range []string{"%", "_____", "*", "' OR '1'='1", "\" OR \"\"=\""} {
		wantOwner(t, s, key, "")
	}
}

// longKeys allows a store to refuse what is longer than any name or address
// can be (254 bytes, RFC 5321), by any error; but never to cut it.
func longKeys(t testing.TB, s jwtauth.UserStore) {
	for _, size := range []int{63, 127, 190, 254, 255, 1000, 5000} {
		stem := strings.Repeat("k", size-1)
		var ids []string
		for _, last := range []string{"a", "b"} {
			created, err := s.CreateUser(t.Context(), jwtauth.User{LoginKey: stem + last, Created: moment()})
			if err != nil && size > 254 && !errors.Is(err, jwtauth.ErrLoginTaken) {
				break
			}
			if err != nil {
				t.Errorf("key of %d bytes: %v", size, err)
				break
			}
			ids = append(ids, created.ID)
		}
		for i, id := range ids {
			wantOwner(t, s, stem+string("ab"[i]), id)
		}
		if len(ids) > 0 {
			wantOwner(t, s, stem, "")
		}
	}
}

func takenLogin(t testing.TB, s jwtauth.UserStore) {
	first := createUser(t, s, account("alice"))
	for _, key := range []string{first.LoginKey, first.EmailKey} {
		u := account("bob")
		u.LoginKey = key
		_, err := s.CreateUser(t.Context(), u)
		wantErr(t, fmt.Sprintf("CreateUser with LoginKey %q of another account", key), err, jwtauth.ErrLoginTaken)
		wantOwner(t, s, key, first.ID)
	}
}

func takenEmail(t testing.TB, s jwtauth.UserStore) {
	first := createUser(t, s, account("alice"))
	for _, key := range []string{first.LoginKey, first.EmailKey} {
		u := account("bob")
		u.EmailKey = key
		_, err := s.CreateUser(t.Context(), u)
		wantErr(t, fmt.Sprintf("CreateUser with EmailKey %q of another account", key), err, jwtauth.ErrEmailTaken)
		wantOwner(t, s, key, first.ID)
	}
}

func takenIdentity(t testing.TB, s jwtauth.UserStore) {
	first := account("alice")
	first.Identities = []string{"sso site-a 1", "sso site-b 1"}
	first = createUser(t, s, first)
	wantOwner(t, s, "sso site-b 1", first.ID)
	second := account("bob")
	second.Identities = []string{"sso site-a 2", "sso site-b 1"}
	_, err := s.CreateUser(t.Context(), second)
	wantErr(t, "CreateUser with an identity of another account", err, jwtauth.ErrIdentityTaken)
	wantOwner(t, s, "sso site-b 1", first.ID)
	wantOwner(t, s, "sso site-a 2", "")

	second.Identities = nil
	second = createUser(t, s, second)
	second.Identities = []string{"sso site-a 1"}
	_, err = s.UpdateUser(t.Context(), second)
	wantErr(t, "UpdateUser to an identity of another account", err, jwtauth.ErrIdentityTaken)
	first.Identities = first.Identities[1:]
	_, err = s.UpdateUser(t.Context(), first)
	wantNil(t, "UpdateUser without an identity", err)
	second, err = s.UpdateUser(t.Context(), second)
	wantNil(t, "UpdateUser to an identity that was given up", err)
	wantOwner(t, s, "sso site-a 1", second.ID)
	wantNil(t, "DeleteUser", s.DeleteUser(t.Context(), second.ID))
	wantOwner(t, s, "sso site-a 1", "")
}

func refusedLeavesNothing(t testing.TB, s jwtauth.UserStore) {
	createUser(t, s, account("alice"))
	byLogin, byEmail := account("bob"), account("carol")
	byLogin.LoginKey, byEmail.EmailKey = "alice", "alice@example.com"
	for _, u := range []jwtauth.User{byLogin, byEmail} {
		if _, err := s.CreateUser(t.Context(), u); err == nil {
			t.Fatal("CreateUser with a taken key: no error")
		}
	}
	wantOwner(t, s, byLogin.EmailKey, "")
	wantOwner(t, s, byEmail.LoginKey, "")
	createUser(t, s, account("bob"))
	createUser(t, s, account("carol"))
}

func ownEmailAsLogin(t testing.TB, s jwtauth.UserStore) {
	u := account("alice")
	u.LoginKey = u.EmailKey
	created := createUser(t, s, u)
	wantOwner(t, s, u.EmailKey, created.ID)
	if _, err := s.CreateUser(t.Context(), u); !errors.Is(err, jwtauth.ErrLoginTaken) && !errors.Is(err, jwtauth.ErrEmailTaken) {
		t.Errorf("CreateUser of the same again: error is %s, want one of taken", describe(err))
	}
	created.DisplayName = "changed"
	_, err := s.UpdateUser(t.Context(), created)
	wantNil(t, "UpdateUser", err)
	wantNil(t, "DeleteUser", s.DeleteUser(t.Context(), created.ID))
	wantOwner(t, s, u.EmailKey, "")
}

func emptyKeys(t testing.TB, s jwtauth.UserStore) {
	for _, name := range []string{"alice", "bob"} {
		u := account(name)
		u.Email, u.EmailKey = "", ""
		created := createUser(t, s, u)
		created.DisplayName = "changed"
		_, err := s.UpdateUser(t.Context(), created)
		wantNil(t, "UpdateUser", err)
		wantOwner(t, s, name, created.ID)
	}
	for _, name := range []string{"carol@example.com", "dave@example.com"} {
		u := account(name)
		u.LoginKey, u.EmailKey = "", name
		wantOwner(t, s, name, createUser(t, s, u).ID)
	}
	wantOwner(t, s, "", "")
}

func chosenID(t testing.TB, s jwtauth.UserStore) {
	u := account("alice")
	u.ID = "40417"
	if got := createUser(t, s, u); got.ID != u.ID {
		t.Fatalf("CreateUser with ID %q made an account with another id", u.ID)
	}
	second := account("bob")
	second.ID = u.ID
	if _, err := s.CreateUser(t.Context(), second); err == nil {
		t.Error("CreateUser with the ID of another account: no error")
	}
	wantOwner(t, s, "alice", u.ID)
	wantOwner(t, s, "bob", "")
	if got := createUser(t, s, account("carol")); got.ID == u.ID {
		t.Error("CreateUser gave the ID of another account to a new one")
	}
}

func idsNeverComeBack(t testing.TB, s jwtauth.UserStore) {
	used := make(map[string]bool)
	chosen := account("chosen")
	chosen.ID = "57"
	last := createUser(t, s, chosen).ID
	for i := range 8 {
		used[last] = true
		wantNil(t, "DeleteUser", s.DeleteUser(t.Context(), last))
		keep := createUser(t, s, account(fmt.Sprintf("keep%d", i))).ID
		last = createUser(t, s, account("again")).ID
		if used[keep] || used[last] || keep == last {
			t.Fatalf("CreateUser gave an id again that another account has or had (round %d)", i)
		}
		used[keep] = true
	}
}

func updateStores(t testing.TB, s jwtauth.UserStore) {
	first := createUser(t, s, account("alice"))
	want := fullAccount()
	want.ID, want.Version, want.CredentialVersion = first.ID, 1, 7
	want.Created = first.Created.Add(time.Hour)
	got, err := s.UpdateUser(t.Context(), want)
	wantNil(t, "UpdateUser", err)
	want.Version, want.Created = 2, first.Created
	wantSame(t, "result of UpdateUser", got, want)
	wantSame(t, "UserByID after UpdateUser", userByID(t, s, first.ID), want)
	want.Roles, want.Meta, want.Disabled, want.PasswordHash = nil, nil, false, ""
	got, err = s.UpdateUser(t.Context(), want)
	wantNil(t, "UpdateUser", err)
	want.Version = 3
	wantSame(t, "result of UpdateUser that empties fields", got, want)
	wantSame(t, "UserByID after UpdateUser that empties fields", userByID(t, s, first.ID), want)
}

func updateComparesVersion(t testing.TB, s jwtauth.UserStore) {
	u := createUser(t, s, account("alice"))
	changed := u.Clone()
	changed.Disabled = true
	changed, err := s.UpdateUser(t.Context(), changed)
	wantNil(t, "UpdateUser", err)
	for _, version := range []int64{0, 1, 3, -1} {
		stale := u.Clone()
		stale.Version = version
		_, err := s.UpdateUser(t.Context(), stale)
		wantErr(t, fmt.Sprintf("UpdateUser with Version %d of an account at 2", version), err, jwtauth.ErrConflict)
	}
	wantSame(t, "UserByID after refused updates", userByID(t, s, u.ID), changed)
}

func updateNeverCreates(t testing.TB, s jwtauth.UserStore) {
	u := createUser(t, s, account("alice"))
	wantNil(t, "DeleteUser", s.DeleteUser(t.Context(), u.ID))
	_, err := s.UpdateUser(t.Context(), u)
	wantErr(t, "UpdateUser of a deleted account", err, jwtauth.ErrNotFound)
	u.ID = "999999999"
	_, err = s.UpdateUser(t.Context(), u)
	wantErr(t, "UpdateUser of an unknown account", err, jwtauth.ErrNotFound)
	wantOwner(t, s, "alice", "")
}

func updateToTakenKey(t testing.TB, s jwtauth.UserStore) {
	alice, bob := createUser(t, s, account("alice")), createUser(t, s, account("bob"))
	for _, key := range []string{alice.LoginKey, alice.EmailKey} {
		u := bob.Clone()
		u.LoginKey = key
		_, err := s.UpdateUser(t.Context(), u)
		wantErr(t, "UpdateUser to a LoginKey of another account", err, jwtauth.ErrLoginTaken)
		u = bob.Clone()
		u.EmailKey = key
		_, err = s.UpdateUser(t.Context(), u)
		wantErr(t, "UpdateUser to an EmailKey of another account", err, jwtauth.ErrEmailTaken)
		wantOwner(t, s, key, alice.ID)
	}
	wantSame(t, "UserByID after refused updates", userByID(t, s, bob.ID), bob)
}

func renameFreesKeys(t testing.TB, s jwtauth.UserStore) {
	alice := createUser(t, s, account("alice"))
	renamed := account("alicia")
	renamed.ID, renamed.Version, renamed.CredentialVersion = alice.ID, 1, 1
	_, err := s.UpdateUser(t.Context(), renamed)
	wantNil(t, "UpdateUser", err)
	wantOwner(t, s, "alicia", alice.ID)
	wantOwner(t, s, "alicia@example.com", alice.ID)
	wantOwner(t, s, "alice", "")
	wantOwner(t, s, "alice@example.com", "")
	next := createUser(t, s, account("alice"))
	wantOwner(t, s, "alice", next.ID)
	wantOwner(t, s, "alice@example.com", next.ID)
}

func deleteFrees(t testing.TB, s jwtauth.UserStore) {
	alice, bob := createUser(t, s, account("alice")), createUser(t, s, account("bob"))
	wantNil(t, "DeleteUser", s.DeleteUser(t.Context(), alice.ID))
	_, err := s.UserByID(t.Context(), alice.ID)
	wantErr(t, "UserByID of a deleted account", err, jwtauth.ErrNotFound)
	wantOwner(t, s, "alice", "")
	wantOwner(t, s, "alice@example.com", "")
	wantErr(t, "DeleteUser again", s.DeleteUser(t.Context(), alice.ID), jwtauth.ErrNotFound)
	wantOwner(t, s, "bob", bob.ID)
	next := createUser(t, s, account("alice"))
	wantOwner(t, s, "alice", next.ID)
	if next.ID == alice.ID {
		t.Error("a new account got the id of a deleted one")
	}
}

func usersIsolated(t testing.TB, s jwtauth.UserStore) {
	spoil := func(u jwtauth.User) {
		for i := range u.Roles {
			u.Roles[i] = "administrator"
		}
		for i := range u.Identities {
			u.Identities[i] = "sso evil 1"
		}
		for key := range u.Meta {
			u.Meta[key] = "x"
		}
	}
	want := fullAccount()
	arg := want.Clone()
	created := createUser(t, s, arg)
	want.ID, want.Version, want.CredentialVersion = created.ID, 1, 1
	spoil(arg)
	spoil(created)
	got := userByID(t, s, want.ID)
	wantSame(t, "UserByID after CreateUser", got, want)
	spoil(got)
	got, err := s.UserByLogin(t.Context(), want.LoginKey)
	wantNil(t, "UserByLogin", err)
	wantSame(t, "UserByLogin after UserByID", got, want)
	spoil(got)
	arg = want.Clone()
	updated, err := s.UpdateUser(t.Context(), arg)
	wantNil(t, "UpdateUser", err)
	want.Version = 2
	spoil(arg)
	spoil(updated)
	wantSame(t, "UserByID after UpdateUser", userByID(t, s, want.ID), want)
}

func usersInPages(t testing.TB, s jwtauth.UserStore) {
	lister, ok := s.(jwtauth.UserLister)
	if !ok {
		t.Skip("the store is no jwtauth.UserLister")
	}
	var ids []string
	for i := range 25 {
		u := account(fmt.Sprintf("user%d", i))
		u.Created = u.Created.Add(time.Duration(i) * time.Second)
		ids = append(ids, createUser(t, s, u).ID)
	}
	var seen []string
	after := ""
	for range len(ids) {
		page, err := lister.ListUsers(t.Context(), jwtauth.UserQuery{After: after, Limit: 7})
		wantNil(t, "ListUsers", err)
		for _, u := range page {
			seen = append(seen, u.ID)
		}
		if len(page) < 7 {
			break
		}
		after = page[6].ID
		if after == ids[13] { // the place to go on from must survive
			wantNil(t, "DeleteUser", s.DeleteUser(t.Context(), after))
		}
	}
	if !slices.Equal(seen, ids) {
		t.Errorf("pages of 7 show %d accounts, want each of %d once, by creation", len(seen), len(ids))
	}
	page, err := lister.ListUsers(t.Context(), jwtauth.UserQuery{})
	if err != nil || len(page) != 24 {
		t.Errorf("ListUsers without a limit: %d accounts, error %v; want the 24 there are", len(page), err)
	}
}

// userCalls are uses of every verb on accounts that exist.
func userCalls(t testing.TB, s jwtauth.UserStore) (jwtauth.User, []call) {
	u := createUser(t, s, account("alice"))
	changed := u.Clone()
	changed.DisplayName = "changed"
	calls := []call{
		{"CreateUser", func(ctx context.Context) (bool, error) {
			got, err := s.CreateUser(ctx, account("bob"))
			return got.ID != "", err
		}},
		{"UserByID", func(ctx context.Context) (bool, error) {
			got, err := s.UserByID(ctx, u.ID)
			return got.ID != "", err
		}},
		{"UserByLogin", func(ctx context.Context) (bool, error) {
			got, err := s.UserByLogin(ctx, u.LoginKey)
			return got.ID != "", err
		}},
		{"UpdateUser", func(ctx context.Context) (bool, error) {
			got, err := s.UpdateUser(ctx, changed)
			return got.ID != "", err
		}},
		{"DeleteUser", func(ctx context.Context) (bool, error) { return false, s.DeleteUser(ctx, u.ID) }},
	}
	if lister, ok := s.(jwtauth.UserLister); ok {
		calls = append(calls, call{"ListUsers", func(ctx context.Context) (bool, error) {
			page, err := lister.ListUsers(ctx, jwtauth.UserQuery{})
			return len(page) > 0, err
		}})
	}
	return u, calls
}

func usersCancelled(t testing.TB, s jwtauth.UserStore) {
	u, calls := userCalls(t, s)
	refuseAll(t, cancelled(t), calls)
	wantSame(t, "UserByID afterwards", userByID(t, s, u.ID), u)
	wantOwner(t, s, "bob", "")
}

// oneRegistrationWins lets half of the callers take the key as a name and the
// others as an address.
func oneRegistrationWins(t testing.TB, s jwtauth.UserStore) {
	for round := range rounds {
		key := fmt.Sprintf("alice%d@example.com", round)
		created, errs := make([]jwtauth.User, racers), make([]error, racers)
		together(racers, func(i int) {
			u := jwtauth.User{LoginKey: fmt.Sprintf("r%d-%d", round, i), Created: moment()}
			if i%2 == 0 {
				u.LoginKey, u.EmailKey = key, u.LoginKey+"@example.com"
			} else {
				u.EmailKey = key
			}
			created[i], errs[i] = s.CreateUser(t.Context(), u)
		})
		wantTally(t, "CreateUser of one key", errs, 1, jwtauth.ErrLoginTaken, jwtauth.ErrEmailTaken)
		for i, err := range errs {
			if err == nil {
				wantOwner(t, s, key, created[i].ID)
			}
		}
	}
}

func concurrentIDs(t testing.TB, s jwtauth.UserStore) {
	created, errs := make([]jwtauth.User, racers), make([]error, racers)
	together(racers, func(i int) {
		created[i], errs[i] = s.CreateUser(t.Context(), account(fmt.Sprintf("user%d", i)))
	})
	wantTally(t, "CreateUser of different accounts", errs, racers)
	owner := make(map[string]int)
	for i, u := range created {
		if other, ok := owner[u.ID]; ok {
			t.Errorf("accounts %d and %d have the same id", other, i)
		}
		owner[u.ID] = i
	}
}

func oneUpdateWins(t testing.TB, s jwtauth.UserStore) {
	u := createUser(t, s, account("alice"))
	for round := range rounds {
		updated, errs := make([]jwtauth.User, racers), make([]error, racers)
		together(racers, func(i int) {
			mine := u.Clone()
			mine.DisplayName = fmt.Sprintf("writer %d", i)
			updated[i], errs[i] = s.UpdateUser(t.Context(), mine)
		})
		wantTally(t, "UpdateUser of one version", errs, 1, jwtauth.ErrConflict)
		u = userByID(t, s, u.ID)
		if want := int64(round + 2); u.Version != want {
			t.Fatalf("Version is %d after %d rounds with one winner each, want %d", u.Version, round+1, want)
		}
		for i, err := range errs {
			if err == nil {
				wantSame(t, "UserByID after the winner's UpdateUser", u, updated[i])
			}
		}
	}
}

// noUpdateLost counts in a field, each step a read and a compare-and-swap.
func noUpdateLost(t testing.TB, s jwtauth.UserStore) {
	const writers, steps = 8, 4
	u := createUser(t, s, account("alice"))
	errs := make([]error, writers)
	together(writers, func(i int) {
		for range steps {
			if errs[i] == nil {
				// Each conflict is somebody else's success, so there are no
				// more than all of the steps.
				errs[i] = increment(t.Context(), s, u.ID, writers*steps)
			}
		}
	})
	wantTally(t, "reading and UpdateUser until it succeeds", errs, writers)
	u = userByID(t, s, u.ID)
	if n := len(u.DisplayName); n != writers*steps || u.Version != writers*steps+1 {
		t.Errorf("%d of %d successful changes are in the account, which is at Version %d", n, writers*steps, u.Version)
	}
}

func increment(ctx context.Context, s jwtauth.UserStore, id string, tries int) error {
	for {
		u, err := s.UserByID(ctx, id)
		if err != nil {
			return err
		}
		u.DisplayName += "+"
		_, err = s.UpdateUser(ctx, u)
		if tries--; tries == 0 || !errors.Is(err, jwtauth.ErrConflict) {
			return err
		}
	}
}

func oneRenameWins(t testing.TB, s jwtauth.UserStore) {
	const writers = 8
	var users []jwtauth.User
	for i := range writers {
		users = append(users, createUser(t, s, account(fmt.Sprintf("user%d", i))))
	}
	errs := make([]error, writers)
	together(writers, func(i int) {
		u := users[i].Clone()
		u.LoginKey = "king"
		_, errs[i] = s.UpdateUser(t.Context(), u)
	})
	wantTally(t, "UpdateUser of many accounts to one LoginKey", errs, 1, jwtauth.ErrLoginTaken)
}
