package smtpmail_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/smtpmail"
)

// scripted is a server in plain text that answers as a test says.
type scripted struct {
	// answer maps the verb of a command, or "greeting", or "." for the end of
	// the mail, to an answer; "" is silence, "close" ends the connection. It
	// may have one %s for the command. What is missing is answered usually.
	answer map[string]string
	seen   chan string   // "greeting" for the connection, then each command
	closed chan struct{} // after the client has closed the connection
}

// script starts a server for one connection and returns a Config that fits it.
func script(t *testing.T, answer map[string]string) (*scripted, smtpmail.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{answer: answer, seen: make(chan string, 100), closed: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(s.closed)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		s.seen <- "greeting"
		s.talk(conn)
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return s, smtpmail.Config{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, From: "no-reply@example.test",
		InsecurePlaintext: true, Timeout: time.Minute}
}

func (s *scripted) talk(conn net.Conn) {
	usual := map[string]string{"greeting": "220 ready", "EHLO": "250-localhost\r\n250 AUTH PLAIN", "DATA": "354 go on", "QUIT": "221 bye", "AUTH": "235 ok"}
	in, verb, line, data := bufio.NewScanner(conn), "greeting", "", false
	for {
		text, ok := s.answer[verb]
		if !ok {
			if text, ok = usual[verb]; !ok {
				text = "250 ok"
			}
		}
		if text == "close" {
			return
		}
		if text != "" {
			fmt.Fprint(conn, strings.ReplaceAll(text, "%s", line)+"\r\n")
		}
		data = verb == "DATA"
		for {
			if !in.Scan() {
				return
			}
			line = in.Text()
			if !data || line == "." {
				break
			}
		}
		verb, _, _ = strings.Cut(line, " ")
		s.seen <- line
	}
}

func (s *scripted) commands(t *testing.T) []string {
	t.Helper()
	<-s.closed
	close(s.seen)
	var out []string
	for line := range s.seen {
		out = append(out, line)
	}
	return out[1:] // without the greeting
}

func mailerFor(t *testing.T, cfg smtpmail.Config) *smtpmail.Mailer {
	t.Helper()
	m, err := smtpmail.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var short = jwtauth.Message{To: "zoe@example.test", Subject: "Hello", Text: "https://app.example.test/?token=planted-token"}

// A context without a deadline ends a mail as well, wherever the server hangs.
func TestCancelledContextEndsAMail(t *testing.T) {
	for _, at := range []string{"greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "."} {
		t.Run("server silent at "+at, func(t *testing.T) {
			s, cfg := script(t, map[string]string{at: ""})
			cfg.Username, cfg.Password = user, password
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- mailerFor(t, cfg).Send(ctx, short) }()
			for !strings.HasPrefix(<-s.seen, at) {
			}
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Errorf("Send: %v", err)
			}
			<-s.closed
		})
	}
}

func TestTimeoutEndsAMail(t *testing.T) {
	s, cfg := script(t, map[string]string{"MAIL": ""})
	cfg.Timeout = 30 * time.Millisecond
	if err := mailerFor(t, cfg).Send(t.Context(), short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Send: %v", err)
	}
	<-s.closed
}

// An error after the server has taken the mail would send it once more.
func TestMailThatWasTakenIsNotAnError(t *testing.T) {
	for _, verb := range []string{"RSET", "QUIT"} {
		for _, answer := range []string{"close", "421 too busy"} {
			t.Run(verb+" answered by "+answer, func(t *testing.T) {
				s, cfg := script(t, map[string]string{verb: answer})
				if err := mailerFor(t, cfg).Send(t.Context(), short); err != nil {
					t.Errorf("Send: %v", err)
				}
				if all := s.commands(t); !slices.Contains(all, ".") {
					t.Errorf("the server saw %q", all)
				}
			})
		}
	}
}

// Errors go to logs. Servers repeat in their answers what they were told.
func TestErrorsDoNotRepeatTheServer(t *testing.T) {
	login := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	cases := []struct{ name, verb, answer, want string }{
		{"login refused", "AUTH", "535 5.7.8 %s is wrong", "535 5.7.8"},
		{"recipient refused for good", "RCPT", "550 5.1.1 %s unknown", "550"},
		{"recipient refused for now", "RCPT", "451 4.2.1 %s busy", "451"},
		{"mail refused", ".", "554 5.7.1 planted-token zoe@example.test", "554"},
		{"nonsense", "AUTH", "zoe@example.test %s", "does not speak SMTP"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, cfg := script(t, map[string]string{tc.verb: tc.answer})
			cfg.Username, cfg.Password = user, password
			err := mailerFor(t, cfg).Send(t.Context(), short)
			if err == nil {
				t.Fatal("sent")
			}
			for _, secret := range []string{login, password, "zoe", "planted"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows %q: %v", secret, err)
				}
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error does not tell %q: %v", tc.want, err)
			}
		})
	}
}

// The connection of a mail that failed does not stay open.
func TestRefusedServersAreLeft(t *testing.T) {
	for name, answer := range map[string]map[string]string{
		"no STARTTLS": nil, "greeting refused": {"greeting": "554 no"}, "EHLO refused": {"EHLO": "550 no", "HELO": "550 no"},
		"login refused": {"AUTH": "535 no"}, "sender refused": {"MAIL": "550 no"},
	} {
		t.Run(name, func(t *testing.T) {
			s, cfg := script(t, answer)
			cfg.Username, cfg.Password, cfg.InsecurePlaintext = user, password, answer != nil
			if err := mailerFor(t, cfg).Send(t.Context(), short); err == nil {
				t.Error("sent")
			}
			<-s.closed // by the client: the server would wait
		})
	}
}

func TestPasswordNeverSentWithoutTLS(t *testing.T) {
	s, cfg := script(t, nil)
	cfg.Username, cfg.Password, cfg.InsecurePlaintext = user, password, false
	if err := mailerFor(t, cfg).Send(t.Context(), short); err == nil {
		t.Error("sent")
	}
	for _, line := range s.commands(t) {
		if !strings.HasPrefix(line, "EHLO") && line != "QUIT" {
			t.Errorf("sent in the clear: %q", line)
		}
	}
}

func TestAddressesThatAreNotASCII(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		sent   bool
	}{
		"refused where the server has no SMTPUTF8": {"250 localhost", false},
		"sent where the server has it":             {"250-localhost\r\n250 SMTPUTF8", true},
	} {
		t.Run(name, func(t *testing.T) {
			s, cfg := script(t, map[string]string{"EHLO": tc.answer})
			m := short
			m.To = "zoë@example.test"
			if err := mailerFor(t, cfg).Send(t.Context(), m); (err == nil) != tc.sent {
				t.Errorf("Send: %v", err)
			}
			if all := s.commands(t); slices.Contains(all, "RCPT TO:<zoë@example.test>") != tc.sent {
				t.Errorf("the server saw %q", all)
			}
		})
	}
}

func TestHELO(t *testing.T) {
	s, cfg := script(t, nil)
	cfg.HELO = "mx.example.test"
	if err := mailerFor(t, cfg).Send(t.Context(), short); err != nil {
		t.Fatal(err)
	}
	if all := s.commands(t); all[0] != "EHLO mx.example.test" {
		t.Errorf("the server saw %q", all)
	}
}

// One Mailer sends from several goroutines at once.
func TestConcurrentMails(t *testing.T) {
	b, cfg := serve(t, true, false)
	m := mailerFor(t, cfg)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := m.Send(t.Context(), short); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mails) != 8 {
		t.Errorf("%d mails arrived", len(b.mails))
	}
}
