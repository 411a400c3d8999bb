package adminui

import (
	"errors"
	"net/url"
	"slices"

	"github.com/go-jwtauth/jwtauth"
)

// eventsPerPage is how many events a page shows. One more is asked for, which
// tells whether there is another page.
const eventsPerPage = 50

// activityPage is the trail, filtered.
type activityPage struct {
	Filter eventFilter
	Names  []string
	Events []eventRow
	// Older is the query of the next page, Newest that of the first one; ""
	// where there is none.
	Older, Newest string
	// Unknown says that no account is called as the filter has it.
	Unknown bool
}

// eventFilter is what was filled in.
type eventFilter struct{ User, Event, Result, Address, From, To string }

// Any reports whether anything was.
func (f eventFilter) Any() bool { return f != eventFilter{} }

// eventRow is an event with the names of the accounts in it.
type eventRow struct {
	jwtauth.Event
	User, Actor string
}

// Bad reports whether somebody should look at it.
func (r eventRow) Bad() bool { return r.Result == jwtauth.ResultRefused || r.Name == jwtauth.EventLock }

func (a *admin) activity(v *visit) error {
	q, err := v.query("user", "event", "result", "address", "from", "to", "before")
	if err != nil {
		return err
	}
	f, unknown, err := v.eventFilter(q)
	if err != nil {
		return err
	}
	if err := v.auth.Record(v.r.Context(), jwtauth.Event{Name: jwtauth.EventReadAudit}); err != nil {
		return err
	}
	p := activityPage{Names: jwtauth.EventNames(), Unknown: unknown,
		Filter: eventFilter{q.text("user"), q.text("event"), q.text("result"), q.text("address"), q.text("from"), q.text("to")}}
	if !unknown {
		err = p.load(v, f, q.values)
	}
	if err != nil {
		return err
	}
	v.renews = f.Before == ""
	return v.render("activity", "activity", "Activity", p)
}

// eventFilter reads a filter. The user may be given by id, name or address.
func (v *visit) eventFilter(q *fields) (f jwtauth.EventFilter, unknown bool, err error) {
	f = jwtauth.EventFilter{UserID: q.text("user"), Name: q.text("event"), Result: q.text("result"),
		Address: q.text("address"), From: q.time("from"), To: q.time("to"), Before: q.text("before"), Limit: eventsPerPage + 1}
	if f.Result != "" && f.Result != jwtauth.ResultOK && f.Result != jwtauth.ResultRefused {
		q.bad = append(q.bad, "result")
	}
	if err := q.err(); err != nil {
		return f, false, err
	}
	if f.UserID == "" {
		return f, false, nil
	}
	u, err := v.findUser(f.UserID)
	if errors.Is(err, jwtauth.ErrNotFound) {
		return f, true, nil
	}
	f.UserID = u.ID
	return f, false, err
}

// findUser returns the account with that id, name or address.
func (v *visit) findUser(text string) (jwtauth.User, error) {
	u, err := v.auth.UserByID(v.r.Context(), text)
	if errors.Is(err, jwtauth.ErrNotFound) {
		u, err = v.auth.UserByLogin(v.r.Context(), text)
	}
	return u, err
}

// load reads the page that f asks for; query is where its links start from.
func (p *activityPage) load(v *visit, f jwtauth.EventFilter, query url.Values) error {
	events, err := v.auth.Events(v.r.Context(), f)
	if err != nil {
		return err
	}
	if len(events) > eventsPerPage {
		events = events[:eventsPerPage]
		p.Older = with(query, "before", events[len(events)-1].ID)
	}
	if f.Before != "" {
		p.Newest = with(query, "before", "")
	}
	p.Events, err = v.named(events)
	return err
}

// with is a query with one parameter changed, and without empty ones.
func with(query url.Values, name, value string) string {
	out := url.Values{}
	for k, values := range query {
		if k != "done" && values[0] != "" {
			out[k] = values
		}
	}
	out.Set(name, value)
	if value == "" {
		out.Del(name)
	}
	return "?" + out.Encode()
}

// named looks up the names of the accounts on a page, each once.
func (v *visit) named(events []jwtauth.Event) ([]eventRow, error) {
	names := map[string]string{"": ""}
	rows := make([]eventRow, len(events))
	for i, e := range events {
		for _, id := range []string{e.UserID, e.ActorID} {
			if _, known := names[id]; known {
				continue
			}
			name, err := v.nameOf(id)
			if err != nil {
				return nil, err
			}
			names[id] = name
		}
		rows[i] = eventRow{e, names[e.UserID], names[e.ActorID]}
	}
	return rows, nil
}

// nameOf is the user name of an account; "" where it is gone.
func (v *visit) nameOf(id string) (string, error) {
	u, err := v.auth.UserByID(v.r.Context(), id)
	if errors.Is(err, jwtauth.ErrNotFound) {
		return "", nil
	}
	return u.Login, err
}

// Selected lists the names to choose from, with the chosen one.
func (p activityPage) Selected() []string {
	if e := p.Filter.Event; e != "" && !slices.Contains(p.Names, e) {
		return append([]string{e}, p.Names...)
	}
	return p.Names
}
