package jwtauth

import (
	"sync"
	"time"
)

// floods keeps the trail readable while somebody knocks a thousand times a
// second: of refusals that are alike, the first few of a minute are written one
// by one, and the rest are counted and written as one record at its end. A
// process that is killed loses what it counted in that minute; nothing that was
// done is ever counted like this.
type floods struct {
	most  int // written one by one
	flush func([]Event)

	mu     sync.Mutex
	counts map[floodKey]*floodCount // of the current minute
	timer  *time.Timer              // ends it
}

// floodKey is what makes refusals alike. The account is no part of it: names
// that exist would be counted each by itself and all others together, and how much
// is written would tell which is which.
type floodKey struct{ name, reason, source string }

type floodCount struct {
	n     int
	event Event // what all of them have in common
}

const (
	floodWindow = time.Minute
	// maxFloodKeys bounds the memory. Past it, refusals are counted by name
	// and reason alone.
	maxFloodKeys = 10_000
)

func newFloods(most int, flush func([]Event)) *floods {
	return &floods{most: most, flush: flush, counts: make(map[floodKey]*floodCount)}
}

// admit reports whether a refusal is to be written. If not, it is counted.
func (f *floods) admit(e Event) bool {
	key := floodKey{e.Name, e.Reason, sourceOf(e.Address)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.counts) >= maxFloodKeys && f.counts[key] == nil {
		key.source = ""
	}
	c := f.counts[key]
	if c == nil {
		c = &floodCount{event: Event{Name: e.Name, Result: e.Result, Reason: e.Reason, UserID: e.UserID, Address: key.source}}
		f.counts[key] = c
	}
	if c.event.UserID != e.UserID {
		c.event.UserID = "" // of several
	}
	if f.timer == nil {
		f.timer = time.AfterFunc(floodWindow, f.end)
	}
	c.n++
	return c.n <= f.most
}

// end closes the minute, and gives on what was counted in it.
func (f *floods) end() {
	f.mu.Lock()
	counts := f.counts
	f.counts = make(map[floodKey]*floodCount)
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	f.mu.Unlock()
	var surplus []Event
	for _, c := range counts {
		if c.n > f.most {
			c.event.Count = int64(c.n - f.most)
			surplus = append(surplus, c.event)
		}
	}
	if len(surplus) > 0 {
		f.flush(surplus)
	}
}
