package browsertest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience bounds each wait. A wait ends as soon as what it waits for is there,
// so this is the time of a test that fails, on a machine that is busy.
const patience = 2 * time.Minute

// needed skips a test for want of something, and fails it where all must run.
func needed(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// chromium returns the program.
func chromium(t *testing.T) string {
	t.Helper()
	name := os.Getenv("CHROMIUM")
	if name == "" {
		name = "chromium"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		needed(t, "Chromium is missing (%v): apt-get install chromium, or let CHROMIUM name it", err)
	}
	return path
}

// started is the one process of Chromium for all tests; what they must not share is
// in profiles.
var started struct {
	once sync.Once
	ctx  context.Context
	stop func()
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if started.stop != nil {
		started.stop()
	}
	os.Exit(code)
}

// browser is Chromium, for one test.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func launch(t *testing.T) *browser {
	t.Helper()
	path := chromium(t)
	started.once.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path))
		allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, cancel := chromedp.NewContext(allocator)
		started.ctx, started.stop = ctx, func() { cancel(); stop() }
		started.err = chromedp.Do(ctx)
	})
	if started.err != nil {
		t.Fatalf("Chromium did not start: %v", started.err)
	}
	return &browser{t, started.ctx}
}

// profile has cookies and storage of its own, as another person's browser has.
type profile struct {
	t    *testing.T
	b    *browser
	base *url.URL
	tabs []*tab
}

// profile makes one for the server at base. When the test ends it fails if a page wrote
// an error or a warning to the console, broke its policy, asked another host for
// anything, or got a 500.
func (b *browser) profile(base string) *profile {
	b.t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		b.t.Fatal(err)
	}
	p := &profile{t: b.t, b: b, base: u}
	b.t.Cleanup(p.close)
	return p
}

// close reports what was noted. The first tab takes the profile with it, and so the
// others: to close them one by one takes a second each.
func (p *profile) close() {
	for _, t := range p.tabs {
		for _, problem := range t.seen() {
			p.t.Error(problem)
		}
	}
	for _, t := range p.tabs {
		t.cancel()
	}
}

// tab is one page of a profile, and what went wrong on it.
type tab struct {
	t      *testing.T
	ctx    context.Context
	cancel func()
	base   *url.URL

	mu       sync.Mutex
	problems []string
}

// tab opens an empty one.
func (p *profile) tab() *tab {
	p.t.Helper()
	t := &tab{t: p.t, base: p.base}
	parent, options := p.b.ctx, []chromedp.ContextOption{chromedp.WithListener(t.note), chromedp.WithNewBrowserContext()}
	if len(p.tabs) > 0 {
		parent, options = p.tabs[0].ctx, options[:1]
	}
	t.ctx, t.cancel = chromedp.NewContext(parent, options...)
	p.tabs = append(p.tabs, t)
	if err := chromedp.Do(t.ctx); err != nil {
		t.t.Fatal(err)
	}
	send(t, network.Enable, network.EnableParams{})
	send(t, log.Enable, cdp.Empty{})
	return t
}

// open is a new tab at a path of the server.
func (p *profile) open(path string) *tab {
	p.t.Helper()
	t := p.tab()
	t.visit(path)
	return t
}

// note runs for each event of the page.
func (t *tab) note(event any) {
	problem := ""
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		problem = t.foreign(e.Request.URL)
	case *network.EventResponseReceived:
		if s := e.Response.Status; s >= 500 && s != 503 {
			problem = fmt.Sprintf("%s answered %d", e.Response.URL, s)
		}
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			problem += " " + x.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			problem = fmt.Sprintf("console: %s %v", e.Type, e.Args)
		}
	case *log.EventEntryAdded:
		problem = logged(e.Entry)
	}
	if problem == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.problems = append(t.problems, problem)
}

// foreign reports a request that leaves the host.
func (t *tab) foreign(address string) string {
	u, err := url.Parse(address)
	if err == nil && (u.Host == t.base.Host || u.Scheme == "data" || u.Scheme == "about") {
		return ""
	}
	return "a request leaves the host: " + address
}

// logged reports an entry of the browser's log, such as a violation of the policy.
// That a server refused something is none: the page has to deal with it.
func logged(e *log.Entry) string {
	refusal := e.Source == "network" && strings.Contains(e.Text, "responded with a status of")
	if refusal || e.Level != "error" && e.Level != "warning" {
		return ""
	}
	return fmt.Sprintf("log: %s %s: %s %s", e.Source, e.Level, e.Text, e.URL)
}

func (t *tab) seen() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.problems...)
}

// forgive forgets the problems that were noted and returns them.
func (t *tab) forgive() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.problems
	t.problems = nil
	return list
}

// send is a command of the DevTools protocol.
func send[P, R any](t *tab, command cdp.Command[P, R], params P) R {
	t.t.Helper()
	return run(t, command.Method, func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	})
}

// run does something on the page, and ends the test if it does not come to be.
func run[T any](t *tab, what string, action chromedp.Action[T]) T {
	t.t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		t.t.Fatalf("%s: %v\n%s", what, err, t.state())
	}
	return v
}

// state is what a person would see, for messages.
func (t *tab) state() string {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		text = err.Error()
	}
	return "--- the page:\n" + text + "\n--- noted:\n" + strings.Join(t.seen(), "\n")
}

// visit loads a path of the server.
func (t *tab) visit(path string) {
	t.t.Helper()
	run(t, "load "+path, chromedp.Navigate(t.base.String()+path))
}

func (t *tab) reload() {
	t.t.Helper()
	run(t, "reload", chromedp.Reload())
}

// eval returns the value of a JavaScript expression, which may be a promise.
func eval[T any](t *tab, expression string) T {
	t.t.Helper()
	return run(t, expression, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// until waits for a JavaScript expression, or what it promises, to be true. A page that is being replaced
// by another one is not there yet.
func (t *tab) until(expression string) {
	t.t.Helper()
	// No !! in front: that of a promise is true.
	await(t.t, func() bool {
		ctx, cancel := context.WithTimeout(t.ctx, patience)
		defer cancel()
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression, chromedp.EvalAwaitPromise))
		return err == nil && ok
	}, func() string { return "waited for " + expression + "\n" + t.state() })
}

// await asks again and again; the test ends if the answer stays no.
func await(t *testing.T, ok func() bool, complaint func() string) {
	t.Helper()
	over := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-over:
			t.Fatal(complaint())
		}
	}
}

// shows waits until an element is visible and has a text.
func (t *tab) shows(css, text string) {
	t.t.Helper()
	t.until(fmt.Sprintf(`[...document.querySelectorAll(%s)].some(e => e.checkVisibility() && e.innerText.includes(%s))`, quote(css), quote(text)))
}

// hides waits until no element of a kind is visible.
func (t *tab) hides(css string) {
	t.t.Helper()
	t.until(fmt.Sprintf(`[...document.querySelectorAll(%s)].every(e => !e.checkVisibility())`, quote(css)))
}

// click presses the mouse on the first element, once it can be seen.
func (t *tab) click(css string) {
	t.t.Helper()
	run(t, "click "+css, chromedp.Click(chromedp.CSS(css), chromedp.NodeVisible))
}

// fill replaces what is in a field.
func (t *tab) fill(css, text string) {
	t.t.Helper()
	run(t, "find "+css, chromedp.WaitVisible(chromedp.CSS(css)))
	eval[bool](t, fmt.Sprintf(`(e => { e.focus(); e.select(); return true })(document.querySelector(%s))`, quote(css)))
	send(t, input.InsertText, input.InsertTextParams{Text: text})
}

// press presses a key, where the focus is.
func (t *tab) press(key string) {
	t.t.Helper()
	run(t, "press a key", chromedp.KeyEvent(key))
}

// tabTo presses Tab until the element that fits css has the focus, as somebody does
// who has no mouse.
func (t *tab) tabTo(css string) {
	t.t.Helper()
	for range 200 {
		t.press(kb.Tab)
		if eval[bool](t, fmt.Sprintf(`!!document.activeElement?.matches(%s)`, quote(css))) {
			return
		}
	}
	t.t.Fatalf("Tab never leads to %s\n%s", css, t.state())
}

// theme emulates a preference for light or dark.
func (t *tab) theme(name string) {
	t.t.Helper()
	send(t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// width emulates a screen, in CSS pixels.
func (t *tab) width(pixels int64) {
	t.t.Helper()
	run(t, "resize", chromedp.EmulateViewport(pixels, 800))
}

// beforeScripts runs JavaScript on each page before the page's own does.
func (t *tab) beforeScripts(source string) {
	t.t.Helper()
	send(t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
}

// quote makes text a JavaScript string.
func quote(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(data)
}
