package pgfeed

import "testing"

// Internal: messages are not part of the API. What comes from the channel never
// panics, and names somebody or is refused.
func FuzzMessage(f *testing.F) {
	for _, text := range []string{"", "{}", "null", `{"t":"t","s":"s","u":"u","from":"2026-01-01T00:00:00.000000001Z"}`, `{"t":1}`, `{"s":"s","from":"x"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := decode(text)
		if err != nil {
			return
		}
		if r.TokenID == "" && r.SessionID == "" && r.UserID == "" {
			t.Errorf("%q names nobody", text)
		}
		again, err := encode(r)
		if err != nil {
			return // longer than a message may be
		}
		if back, err := decode(again); err != nil || !back.From.Equal(r.From) || back.TokenID != r.TokenID || back.SessionID != r.SessionID || back.UserID != r.UserID {
			t.Errorf("%q is %+v, written and read as %+v, %v", text, r, back, err)
		}
	})
}
