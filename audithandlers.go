package jwtauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// auditEndpoints show the trail: to administrators all of it, to a user what is
// about them.
func (a *Auth) auditEndpoints() []endpoint {
	return []endpoint{
		{"audit", "GET", "/audit", "", EventReadAudit, (*call).audit},
		{"activity", "GET", "/me/activity", "", EventReadActivity, (*call).activity},
	}
}

// recordOutcome writes the record of a request that has none yet, and returns
// what the caller is to be told.
func (c *call) recordOutcome(e endpoint, err error) error {
	if e.event == "" || c.answered && err == nil {
		return err
	}
	return c.auth.finish(c.r, e.name, Outcome{Event: e.event, Read: e.reads(), Identity: c.once.id, Err: err})
}

// Outcome is how a request ended.
type Outcome struct {
	// Event is one of the Event… constants, for the record of a request that
	// has not left one: most have, in the method of [Auth] that they called.
	Event string
	// Read says that nothing was changed: see [AuditConfig.SkipReads].
	Read bool
	// Identity is who asked, where that was verified; else nil.
	Identity *Identity
	// Err is why it was refused, or nil.
	Err error
}

// Finish ends a request of an endpoint, by its name: it writes the record where
// there is none yet, and a refusal or a fault to the log. r is what [Gate.Admit]
// returned. Call it right before the answer is written, and answer with the error
// that it returns: Err, or the fault if the record can't be written.
func (g *Gate) Finish(r *http.Request, endpoint string, o Outcome) error {
	return g.auth.finish(r, endpoint, o)
}

func (a *Auth) finish(r *http.Request, name string, o Outcome) error {
	err := a.recordedOutcome(r.Context(), o)
	if err != nil {
		a.explain(headerOf(r.Context()), r, name, err)
	}
	return err
}

func (a *Auth) recordedOutcome(ctx context.Context, o Outcome) error {
	if left, ok := ctx.Value(outcomeKey{}).(*outcome); ok && left.recorded.Load() {
		return o.Err
	}
	e := Event{Name: o.Event}
	if o.Identity != nil {
		e.UserID, e.SessionID, e.TokenID = o.Identity.UserID, o.Identity.SessionID, o.Identity.TokenID
	}
	switch {
	case o.Err != nil:
		return a.refused(ctx, e, o.Err)
	case o.Read && a.cfg.Audit.SkipReads:
		return nil
	}
	return a.record(ctx, e)
}

// audit answers GET /audit.
func (c *call) audit() (any, error) {
	id, err := c.identity()
	if err != nil {
		return nil, err
	}
	if !id.HasRole(c.auth.cfg.Audit.Roles...) {
		return nil, ErrForbidden
	}
	f, err := eventFilter(c.r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	return c.events(f)
}

// activity answers GET /me/activity. Whose it is comes from the token alone.
func (c *call) activity() (any, error) {
	id, err := c.identity()
	if err != nil {
		return nil, err
	}
	f, err := eventFilter(c.r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	f.UserID = id.UserID
	return c.events(f)
}

func (c *call) events(f EventFilter) (any, error) {
	f.Limit = min(max(f.Limit, 0), 1000)
	defaultTo(&f.Limit, 100)
	list, err := c.auth.Events(c.r.Context(), f)
	if err != nil {
		return nil, err
	}
	body := eventsBody{Events: make([]eventBody, len(list))}
	for i, e := range list {
		body.Events[i] = viewEvent(e)
	}
	if len(list) == f.Limit {
		body.Next = list[len(list)-1].ID
	}
	return body, nil
}

// eventFilter reads the parameters of a query. One that is given twice, or that
// can't be read, is an error: a filter that is passed over shows too much.
func eventFilter(query string) (EventFilter, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return EventFilter{}, ErrInvalidInput.saying("The query can't be read.")
	}
	r := queryReader{values: q}
	f := EventFilter{UserID: r.text("user"), Name: r.text("event"), Result: r.text("result"), Address: r.text("address"),
		From: r.time("from"), To: r.time("to"), Before: r.text("before"), Limit: r.number("limit")}
	return f, r.err()
}

// queryReader notes the parameters that were wrong.
type queryReader struct {
	values url.Values
	bad    []string
}

func (r *queryReader) text(name string) string {
	values := r.values[name]
	if len(values) > 1 {
		r.bad = append(r.bad, name)
	}
	return r.values.Get(name)
}

func (r *queryReader) time(name string) time.Time {
	text := r.text(name)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		r.bad = append(r.bad, name)
	}
	return t
}

func (r *queryReader) number(name string) int {
	text := r.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		r.bad = append(r.bad, name)
	}
	return n
}

func (r *queryReader) err() error {
	if len(r.bad) == 0 {
		return nil
	}
	return ErrInvalidInput.saying("A parameter can't be read, or is given twice.", slices.Compact(r.bad)...)
}

type (
	eventsBody struct {
		Events []eventBody `json:"events"`
		// Next is the value of before for the next page.
		Next string `json:"next,omitempty"`
	}
	eventBody struct {
		ID        string    `json:"id"`
		Time      string    `json:"time"`
		Event     string    `json:"event"`
		Result    string    `json:"result"`
		Reason    string    `json:"reason,omitempty"`
		Count     int64     `json:"count"`
		User      wprest.ID `json:"user,omitempty"`
		Actor     wprest.ID `json:"actor,omitempty"`
		Session   string    `json:"session,omitempty"`
		TokenID   string    `json:"jti,omitempty"`
		Address   string    `json:"ip,omitempty"`
		Device    string    `json:"device,omitempty"`
		UserAgent string    `json:"user_agent,omitempty"`
		DeviceID  string    `json:"device_id,omitempty"`
		RequestID string    `json:"request_id,omitempty"`
		Sequence  int64     `json:"sequence,omitempty"`
		Erased    bool      `json:"erased,omitempty"`
	}
)

func viewEvent(e Event) eventBody {
	body := eventBody{ID: e.ID, Time: e.Time.UTC().Format(time.RFC3339Nano), Event: e.Name, Result: e.Result, Reason: e.Reason, Count: e.Count,
		User: wprest.ID(e.UserID), Actor: wprest.ID(e.ActorID), Session: e.SessionID, TokenID: e.TokenID, Address: e.Address,
		UserAgent: e.UserAgent, DeviceID: e.DeviceID, RequestID: e.RequestID, Sequence: e.Sequence, Erased: e.Erased}
	if e.UserAgent != "" {
		body.Device = e.Device()
	}
	return body
}
