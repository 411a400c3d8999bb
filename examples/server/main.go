// Command server is jwtauth with everything switched on: the native API under
// /wp-json/headlesskey/v1, a protected route and a health check.
//
//	go run ./examples/server
//
// It starts on the embedded store with keys of its own and prints the curl
// lines to try. See -help for the flags, and README.md for the file that
// -config reads.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second signal ends it at once
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is the whole program, with everything it takes from its surroundings as
// an argument. It returns when ctx ends and all requests are answered.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	opts, err := parseFlags(args, out)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", opts.addr)
	if err != nil {
		return err
	}
	base := "http://" + reachable(listener.Addr())
	log := slog.New(slog.NewTextHandler(out, nil))
	app, err := newApp(ctx, opts, base, getenv, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	for _, line := range app.notes {
		fmt.Fprintln(out, line)
	}
	printTour(out, base, app)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hooksDone := app.sendWebhooks(ctx)
	served := serve(ctx, listener, app.handler)
	cancel() // also where serving failed
	return errors.Join(served, hooksDone(), app.sendMail(), app.closeRedis(), app.closeStore())
}

// reachable is the address as a client on this machine writes it: one that
// stands for all interfaces, as with -addr :8080, is nobody's.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
}

// serve answers until ctx ends, then lets the requests in flight finish. The
// time-outs bound what a slow or idle client can hold.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- server.Shutdown(grace)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-done
}

// options are the flags.
type options struct {
	addr, issuer, db, redis, keys, admin, mail, config string
	staleness                                          time.Duration
	spa                                                bool
}

func parseFlags(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("server", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	f.StringVar(&o.issuer, "issuer", "", "issuer `URL` of the tokens (default: that of the config file, else http:// and the address)")
	f.StringVar(&o.db, "db", "memory", "`store`: memory (until the server stops), sqlite:FILE, postgres://user:password@host/name or mysql://user:password@host/name")
	f.StringVar(&o.redis, "redis", "", "`URL` of a Redis that several servers share, as redis://user:password@host:6379/0: sessions, revocations, codes, counts and limits are there, and only the rest in -db")
	f.DurationVar(&o.staleness, "staleness", 0, "how long to go on without asking -redis whether a token was revoked; it tells as well (default 0: ask every time)")
	f.StringVar(&o.keys, "keys", "", "`directory` of the signing key and the secret, made if absent (default: FILE.keys with -db sqlite:FILE, else new ones at each start)")
	f.StringVar(&o.admin, "admin", "", "`e-mail` address of an administrator to create, once; prints a password to change")
	f.StringVar(&o.mail, "mail", "", "where mails go: a `directory` for .eml files, or smtp://user:password@host:587?from=address (default: nowhere)")
	f.BoolVar(&o.spa, "spa", false, "serve the front end of examples/spa at /spa/, and switch cookies on for it")
	f.StringVar(&o.config, "config", "", "JSON `file` with everything else (README.md lists its keys); unknown keys are an error")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return o, nil
}

// printTour shows what can be done, ready to paste.
func printTour(out io.Writer, base string, a *app) {
	api := base + "/wp-json/" + a.namespace
	fmt.Fprintf(out, "listening on %s\n\n", base)
	if a.closed {
		fmt.Fprint(out, "Registration is closed: only accounts that exist, such as that of -admin, can log in.\n\n")
		return
	}
	fmt.Fprintf(out, `Register, log in, and use the token:

  curl -s %[2]s/register -H 'Content-Type: application/json' \
    -d '{"username":"johndoe","email":"john@example.com","password":"a long pass phrase","name":"John Doe"}'

  TOKEN=$(curl -s %[2]s/token -H 'Content-Type: application/json' \
    -d '{"username":"johndoe","password":"a long pass phrase"}' | sed 's/.*"token":"\([^"]*\)".*/\1/')

  curl -s %[1]s/hello -H "Authorization: Bearer $TOKEN"
  curl -s %[2]s/sessions -H "Authorization: Bearer $TOKEN"
  curl -s -X POST %[2]s/token/validate -H "Authorization: Bearer $TOKEN"
  curl -s -X POST %[2]s/token/refresh -H "Authorization: Bearer $TOKEN"
  curl -s -X POST %[2]s/token/revoke -H "Authorization: Bearer $TOKEN"

`, base, api)
}
