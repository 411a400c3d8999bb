package fault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Clients use servers until their context ends.
type Clients struct {
	// Bases are the URLs of the nodes.
	Bases []string
	// Mails is the directory that servers write mails into.
	Mails   string
	History *History
	Seed    uint64
	// Life is after how many actions a client registers anew.
	Life int
	http *http.Client
}

const domain = "@example.com"

// Passwords of every account, before a reset and after.
const (
	firstPassword  = "correct horse battery staple"
	secondPassword = "wrong mule capacitor paperclip"
)

// Run lets n clients work until ctx ends.
func (c *Clients) Run(ctx context.Context, n int) {
	c.http = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: n * 2}}
	defer c.http.CloseIdleConnections()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			w := &worker{Clients: c, id: i, rand: rand.New(rand.NewPCG(c.Seed, uint64(i)))}
			for life := 0; ctx.Err() == nil; life++ {
				w.live(ctx, fmt.Sprintf("user-%d-%d", i, life))
			}
		})
	}
	all.Wait()
}

// worker is one client. It has one account at a time.
type worker struct {
	*Clients
	id    int
	rand  *rand.Rand
	user  string
	pass  string
	reset bool
	mu    sync.Mutex
	open  []device
}

// device is a session as its owner has it.
type device struct{ access, refresh, session, tokenID string }

func (w *worker) live(ctx context.Context, user string) {
	w.user, w.pass, w.reset, w.open = user, firstPassword, false, nil
	for !w.registered() {
		if !pause(ctx, 10*time.Millisecond) {
			return
		}
	}
	for range w.Life {
		if ctx.Err() != nil {
			return
		}
		w.act()
	}
}

// pause waits, and reports whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *worker) act() {
	if len(w.open) == 0 {
		w.login(w.node())
		return
	}
	i := w.rand.IntN(len(w.open))
	d := w.open[i]
	switch dice := w.rand.IntN(100); {
	case dice < 20:
		w.login(w.node())
	case dice < 30:
		w.inParallel(w.login)
	case dice < 50:
		w.drop(i)
		w.refresh(w.node(), d)
	case dice < 65:
		w.drop(i)
		w.inParallel(func(node int) { w.refresh(node, d) })
	case dice < 80:
		w.validate(w.node(), d)
	case dice < 88:
		w.list(w.node(), d)
	case dice < 97 || w.reset:
		w.drop(i)
		w.revoke(d)
	default:
		w.resetPassword()
	}
}

func (w *worker) node() int { return w.rand.IntN(len(w.Bases)) }

// inParallel does something on every node at once, twice.
func (w *worker) inParallel(do func(node int)) {
	var all sync.WaitGroup
	for i := range 2 * len(w.Bases) {
		all.Go(func() { do(i % len(w.Bases)) })
	}
	all.Wait()
}

func (w *worker) drop(i int) { w.open = append(w.open[:i:i], w.open[i+1:]...) }

func (w *worker) keep(d device) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, d)
}

// grantBody is what a login, a registration and a refresh answer.
type grantBody struct {
	Token         string     `json:"token"`
	RefreshToken  string     `json:"refresh_token"`
	TokenID       string     `json:"jti"`
	TokenResponse *grantBody `json:"token_response"`
}

func (g grantBody) device() device {
	if g.TokenResponse != nil {
		return g.TokenResponse.device()
	}
	return device{g.Token, g.RefreshToken, sessionOf(g.Token), g.TokenID}
}

// sessionOf reads the sid of a token. It does not verify: the servers do.
func sessionOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		SessionID string `json:"sid"`
	}
	_ = json.Unmarshal(text, &claims) // "" shows in the log
	return claims.SessionID
}

// Below it is the API, and hostPath is a handler of the host's own.
const (
	apiPath  = "/wp-json/headlesskey/v1"
	hostPath = "/hello"
)

func (c *Clients) url(node int, path string) string {
	if path != hostPath {
		path = apiPath + path
	}
	return c.Bases[node] + path
}

// send makes a request and writes it down. complete adds to the entry what the
// answer tells.
func (w *worker) send(e Entry, method, path string, body map[string]string, token string, complete func(e *Entry, answer []byte)) int {
	e.Client, e.User, e.Start = w.id, w.user, w.History.now()
	status, answer := w.exchange(method, w.url(e.Node, path), body, token)
	e.End, e.Status = w.History.now(), status
	if status == http.StatusOK && complete != nil {
		complete(&e, answer)
	}
	w.History.add(e)
	return status
}

// exchange returns status 0 unless the whole answer came.
func (w *worker) exchange(method, url string, body map[string]string, token string) (status int, answer []byte) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil
	}
	if body == nil {
		text = nil
	}
	q, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		return 0, nil
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := w.http.Do(q)
	if err != nil {
		return 0, nil
	}
	defer r.Body.Close()
	if answer, err = io.ReadAll(r.Body); err != nil {
		return 0, nil
	}
	return r.StatusCode, answer
}

// granted completes an entry, and keeps the session for later.
func (w *worker) granted(e *Entry, answer []byte) {
	var g grantBody
	if json.Unmarshal(answer, &g) != nil {
		return
	}
	d := g.device()
	e.Session, e.TokenID = d.session, d.tokenID
	w.keep(d)
}

// registered reports whether a server said yes, or that the name is taken: by an
// earlier try, whose answer did not come.
func (w *worker) registered() bool {
	status := w.send(Entry{Op: Register, Node: w.node()}, "POST", "/register",
		map[string]string{"username": w.user, "email": w.user + domain, "password": w.pass}, "", w.granted)
	return status == http.StatusOK || status == http.StatusConflict
}

func (w *worker) login(node int) {
	w.send(Entry{Op: Login, Node: node}, "POST", "/token", map[string]string{"username": w.user, "password": w.pass}, "", w.granted)
}

func (w *worker) refresh(node int, d device) {
	w.send(Entry{Op: Refresh, Node: node, Session: d.session, Secret: d.refresh}, "POST", "/token/refresh",
		map[string]string{"refresh_token": d.refresh}, "", w.granted)
}

// validate asks the API, and a handler of the host's own: the one looks at the
// account as well, the other goes by the token and what is revoked.
func (w *worker) validate(node int, d device) {
	w.send(Entry{Op: Validate, Node: node, Session: d.session, TokenID: d.tokenID}, "POST", "/token/validate", nil, d.access, nil)
	w.send(Entry{Op: Validate, Node: node, Session: d.session, TokenID: d.tokenID}, "GET", hostPath, nil, d.access, nil)
}

func (w *worker) list(node int, d device) {
	w.send(Entry{Op: List, Node: node, Session: d.session, TokenID: d.tokenID}, "GET", "/sessions", nil, d.access,
		func(e *Entry, answer []byte) {
			var body struct{ Sessions []struct{} }
			if json.Unmarshal(answer, &body) == nil {
				e.Count = len(body.Sessions)
			}
		})
}

// revoke also looks whether every node knows, at once.
func (w *worker) revoke(d device) {
	w.send(Entry{Op: Revoke, Node: w.node(), Session: d.session, TokenID: d.tokenID}, "POST", "/token/revoke", nil, d.access, nil)
	for node := range w.Bases {
		w.validate(node, d)
	}
	w.refresh(w.node(), d)
}

// resetPassword uses the secret that was mailed on every node at once. Where no
// answer came, a login tells which password it is now.
func (w *worker) resetPassword() {
	w.reset = true
	w.exchange("POST", w.url(w.node(), "/forgot-password"), map[string]string{"login": w.user + domain}, "")
	secret := w.mailed()
	if secret == "" {
		return
	}
	before := w.open
	w.inParallel(func(node int) {
		w.send(Entry{Op: Reset, Node: node, Secret: secret}, "POST", "/reset-password",
			map[string]string{"login": w.user + domain, "token": secret, "password": secondPassword}, "", nil)
	})
	for _, d := range before {
		w.validate(w.node(), d)
	}
	w.open, w.pass = nil, secondPassword
	if w.login(w.node()); len(w.open) == 0 {
		w.pass = firstPassword
	}
}

var linkIn = regexp.MustCompile(`https://\S+`)

// mailed waits a moment for the secret of a reset; "" if no mail came.
func (w *worker) mailed() string {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for range 50 {
		names, _ := filepath.Glob(filepath.Join(w.Mails, "*-reset-link-*.eml"))
		for _, name := range names {
			to, text := readMail(name)
			if to != w.user+domain {
				continue
			}
			os.Remove(name) // nobody else looks for it
			u, err := url.Parse(linkIn.FindString(text))
			if err != nil {
				return ""
			}
			return u.Query().Get("token")
		}
		<-poll.C
	}
	return ""
}

// readMail returns the address and the text of a mail.
func readMail(name string) (to, text string) {
	f, err := os.Open(name)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	m, err := mail.ReadMessage(f)
	if err != nil {
		return "", ""
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return "", ""
	}
	part, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
	if err != nil {
		return "", ""
	}
	body, err := io.ReadAll(quotedprintable.NewReader(part))
	if err != nil {
		return "", ""
	}
	return m.Header.Get("To"), string(body)
}
