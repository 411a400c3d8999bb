package jwtauth

// These tests are internal because the governor is: from outside one sees only
// that a login was shed.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// blockingHasher computes with a verifier that holds each computation until
// let go, and tells how many run at once.
func blockingHasher(t *testing.T, concurrent, queue int) (h *hasher, finish chan struct{}, running, most *atomic.Int64) {
	finish, running, most = make(chan struct{}), new(atomic.Int64), new(atomic.Int64)
	run := func() {
		n := running.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-finish
		running.Add(-1)
	}
	h = newTestHasher(t, cheap(func(c *PasswordConfig) {
		c.MaxConcurrent, c.MaxQueue, c.MaxWait = concurrent, queue, 10*time.Second
		c.Verifiers = []PasswordVerifier{foreignScheme{prefix: "$foreign$1$", run: run}}
	}))
	return h, finish, running, most
}

const blockingHash = Secret("$foreign$1$correct horse")

func TestGovernorBoundsFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const concurrent, queue, callers = 3, 5, 500
		h, finish, running, most := blockingHasher(t, concurrent, queue)
		var wg sync.WaitGroup
		var passed, shed atomic.Int64
		start := time.Now()
		for i := range callers {
			wg.Go(func() {
				slot, err := h.acquire(t.Context(), fmt.Sprint("account ", i))
				switch {
				case errors.Is(err, ErrOverloaded):
					if asErr, _ := asError(err); asErr.RetryAfter <= 0 {
						t.Error("shed without telling when to come back")
					}
					if wait := time.Since(start); wait != 0 {
						t.Errorf("shed after %v, want at once", wait)
					}
					shed.Add(1)
				case err != nil:
					t.Error(err)
				default:
					defer slot.release()
					if slot.verify(blockingHash, "correct horse") {
						passed.Add(1)
					}
				}
			})
		}
		synctest.Wait()
		if got := running.Load(); got != concurrent {
			t.Errorf("%d computations run, want %d", got, concurrent)
		}
		if got := shed.Load(); got != callers-concurrent-queue {
			t.Errorf("%d callers shed, want %d", got, callers-concurrent-queue)
		}
		close(finish)
		wg.Wait()
		if got := most.Load(); got != concurrent {
			t.Errorf("at most %d computations ran at once, want %d", got, concurrent)
		}
		if got := passed.Load(); got != concurrent+queue {
			t.Errorf("%d callers served, want %d", got, concurrent+queue)
		}
	})
}

func TestGovernorCancelledWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTurnstile(1, 1)
		if err := g.enter(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		waiter := make(chan error, 1)
		go func() { waiter <- g.enter(ctx, nil) }()
		synctest.Wait()
		if err := g.enter(t.Context(), nil); !errors.Is(err, ErrOverloaded) {
			t.Fatalf("queue full: %v", err)
		}
		cancel()
		if err := <-waiter; !errors.Is(err, ErrUnavailable) {
			t.Errorf("cancelled waiter: %v", err)
		}
		next := make(chan error, 1)
		go func() { next <- g.enter(t.Context(), nil) }()
		synctest.Wait()
		g.leave()
		if err := <-next; err != nil {
			t.Errorf("the place of the cancelled waiter was not freed: %v", err)
		}
		g.leave()
		if len(g.inside) != 0 || len(g.queue) != 0 {
			t.Errorf("%d slots and %d places are still taken", len(g.inside), len(g.queue))
		}
	})
}

func TestGovernorWaitIsBounded(t *testing.T) {
	for _, account := range []string{"", "owner"} {
		synctest.Test(t, func(t *testing.T) {
			g := newGovernor(1, 1, 3*time.Second)
			if _, err := g.acquire(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if _, err := g.acquire(t.Context(), account); !errors.Is(err, ErrOverloaded) {
				t.Errorf("long wait: %v", err)
			}
			if waited := time.Since(start); waited != 3*time.Second {
				t.Errorf("waited %v, want 3 s", waited)
			}
			if len(g.slots.queue)+len(g.strangers.queue)+len(g.ahead) != 0 {
				t.Error("the place is still taken")
			}
		})
	}
}

// A stranger has two queues before them and one MaxWait.
func TestStrangersWaitOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(1, 10, time.Second)
		release, err := g.acquire(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		go func() { time.Sleep(900 * time.Millisecond); release() }()
		go func() { // next, and slow
			if release, err := g.acquire(t.Context(), "owner"); err == nil {
				time.Sleep(10 * time.Second)
				release()
			}
		}()
		synctest.Wait()
		start := time.Now()
		if _, err := g.acquire(t.Context(), ""); !errors.Is(err, ErrOverloaded) {
			t.Errorf("the stranger: %v", err)
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %v, want 1 s", waited)
		}
		time.Sleep(time.Minute) // virtual: lets the other finish
	})
}

func TestGovernorServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTurnstile(1, 3)
		if err := g.enter(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		served := make(chan int, 3)
		for i := range 3 {
			go func() {
				if g.enter(t.Context(), nil) == nil {
					served <- i
				}
			}()
			synctest.Wait()
		}
		for want := range 3 {
			g.leave()
			if got := <-served; got != want {
				t.Errorf("caller %d served, want %d", got, want)
			}
		}
		g.leave()
	})
}

// Whatever strangers do, a device that logged in before finds a slot free, or
// where there is one alone, is next.
func TestKnownDevicesGetThroughAFlood(t *testing.T) {
	for _, concurrent := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			g := newGovernor(concurrent, 50, time.Minute)
			for range 200 {
				go func() {
					if release, err := g.acquire(t.Context(), ""); err == nil {
						time.Sleep(time.Second) // a virtual second of hashing
						release()
					}
				}()
			}
			synctest.Wait()
			start := time.Now()
			release, err := g.acquire(t.Context(), "owner")
			if err != nil {
				t.Fatalf("%d slots: %v", concurrent, err)
			}
			waited, most := time.Since(start), time.Duration(0)
			if concurrent == 1 {
				most = time.Second
			}
			if waited > most {
				t.Errorf("%d slots: waited %v behind strangers, want at most %v", concurrent, waited, most)
			}
			release()
			time.Sleep(5 * time.Minute) // virtual: lets the rest finish
			if n := len(g.slots.inside) + len(g.strangers.inside) + len(g.strangers.queue); n != 0 {
				t.Errorf("%d slots: %d places are still taken", concurrent, n)
			}
		})
	}
}

// Whoever shares the token of their own device with many machines has one hash
// before strangers, and is a stranger with all others.
func TestOneAccountDoesNotTakeTheFreeSlotTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(2, 50, time.Minute)
		for range 40 {
			go func() {
				if release, err := g.acquire(t.Context(), "eve"); err == nil {
					time.Sleep(time.Second)
					release()
				}
			}()
		}
		synctest.Wait()
		start := time.Now()
		release, err := g.acquire(t.Context(), "owner")
		if err != nil || time.Since(start) > time.Second {
			t.Errorf("the owner waited %v: %v", time.Since(start), err)
		}
		time.Sleep(5 * time.Minute) // virtual: lets the rest finish
		if release(); len(g.ahead)+g.busy()+len(g.strangers.inside) != 0 {
			t.Errorf("%v, %d slots and %d places are still taken", g.ahead, g.busy(), len(g.strangers.inside))
		}
	})
}

func TestSlotReleasedTwiceIsHarmless(t *testing.T) {
	h := newTestHasher(t, cheap(func(c *PasswordConfig) { c.MaxConcurrent = 1 }))
	slot, err := h.acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	slot.release()
	slot.release()
	if _, err := h.acquire(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

func TestNoQueueShedsAtOnce(t *testing.T) {
	h := newTestHasher(t, cheap(func(c *PasswordConfig) { c.MaxConcurrent, c.MaxQueue = 1, -1 }))
	slot, err := h.acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.acquire(t.Context(), ""); !errors.Is(err, ErrOverloaded) {
		t.Errorf("second caller: %v", err)
	}
	slot.release()
}
