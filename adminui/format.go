package adminui

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// functions are what templates can call.
var functions = template.FuncMap{
	"when":   when,
	"stamp":  stamp,
	"span":   span,
	"device": device,
	"words":  func(list []string) string { return strings.Join(list, ", ") },
	"events": events,
	"local":  local,
}

// when is a time for people. All of them are UTC, which the column says.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// stamp is a time for programs.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// span is a duration in its largest unit.
func span(d time.Duration) string {
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := int64(d / unit.size); n > 1 {
			return fmt.Sprintf("%d %ss", n, unit.name)
		} else if n == 1 {
			return "1 " + unit.name
		}
	}
	return "less than a second"
}

// device names what a user agent stands for.
func device(userAgent string) string {
	if userAgent == "" {
		return "Unknown device"
	}
	return jwtauth.Event{UserAgent: userAgent}.Device()
}

// eventTable is what the template of a list of events takes.
type eventTable struct {
	Caption, Base string
	Users         bool
	Events        []eventRow
}

func events(caption, base string, users bool, rows []eventRow) eventTable {
	return eventTable{caption, base, users, rows}
}

// local is a time as an input for date and time has it; what is none is left
// out.
func local(text string) string {
	f := fields{values: map[string][]string{"t": {text}}}
	if t := f.time("t"); !t.IsZero() {
		return t.Format("2006-01-02T15:04:05")
	}
	return ""
}
