package adminui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-jwtauth/jwtauth"
)

const lettersPerPage = 50

func (a *admin) webhookList(v *visit) error {
	if _, err := v.query(); err != nil {
		return err
	}
	list, err := a.webhooks.Status(v.r.Context())
	if err != nil {
		return unavailable(err)
	}
	return v.render("webhooks", "webhooks", "Webhooks", list)
}

// webhookPage is one endpoint with its dead letters.
type webhookPage struct {
	jwtauth.WebhookStatus
	Letters []jwtauth.DeadLetter
	Next    string
	First   bool
}

func (a *admin) webhook(v *visit) error {
	q, err := v.query("name", "after")
	if err != nil {
		return err
	}
	name, after := q.text("name"), q.number("after")
	if err := q.err(); err != nil {
		return err
	}
	p := webhookPage{First: after == 0}
	if p.WebhookStatus, err = a.endpoint(v, name); err != nil {
		return err
	}
	letters, err := a.webhooks.DeadLetters(v.r.Context(), name, after, lettersPerPage+1)
	if err != nil {
		return unavailable(err)
	}
	if len(letters) > lettersPerPage {
		letters = letters[:lettersPerPage]
		p.Next = with(url.Values{"name": {name}}, "after", strconv.FormatInt(letters[len(letters)-1].Sequence, 10))
	}
	p.Letters = letters
	return v.render("webhook", "webhooks", "Webhook "+name, p)
}

func (a *admin) endpoint(v *visit, name string) (jwtauth.WebhookStatus, error) {
	list, err := a.webhooks.Status(v.r.Context())
	if err != nil {
		return jwtauth.WebhookStatus{}, unavailable(err)
	}
	for _, s := range list {
		if s.Name == name {
			return s, nil
		}
	}
	return jwtauth.WebhookStatus{}, jwtauth.ErrNotFound
}

// redeliver waits for the receiver.
func (a *admin) redeliver(v *visit) error {
	return a.operate(v, "sequence", jwtauth.EventWebhookRedeliver, "redelivered", a.webhooks.Redeliver)
}

func (a *admin) replay(v *visit) error {
	return a.operate(v, "from", jwtauth.EventWebhookReplay, "replayed", a.webhooks.Replay)
}

// operate does something with an endpoint and a place in the trail.
func (a *admin) operate(v *visit, field, event, done string, do func(ctx context.Context, endpoint string, sequence int64) error) error {
	f, err := v.form("name", field)
	if err != nil {
		return err
	}
	name, sequence := f.text("name"), f.number(field)
	if sequence < 1 {
		f.bad = append(f.bad, field)
	}
	if err := f.err(); err != nil {
		return err
	}
	if _, err := a.endpoint(v, name); err != nil {
		return err
	}
	failed := do(v.r.Context(), name, sequence)
	if err := v.outcome(event, "not_delivered", failed); err != nil {
		return err
	}
	switch {
	case errors.Is(failed, jwtauth.ErrNotFound):
		return refusal{http.StatusNotFound, "This event is not in the trail any more."}
	case failed != nil:
		return refusal{http.StatusServiceUnavailable, "The endpoint did not take the event, or its place could not be moved. The reason is in the log."}
	}
	return v.back("webhook", done, url.Values{"name": {name}})
}

// outcome records what became of an action that no method of the Auth records.
// A fault is also said in the log.
func (v *visit) outcome(event, reason string, failed error) error {
	e := jwtauth.Event{Name: event}
	if failed != nil {
		v.log.ErrorContext(v.r.Context(), "action failed", "event", event, "error", failed)
		e.Result, e.Reason = jwtauth.ResultRefused, reason
	}
	return v.auth.Record(context.WithoutCancel(v.r.Context()), e)
}
