// Command webhookreceiver takes webhooks of jwtauth, each event once, also over
// a restart: the ids of what it is done with are kept in a file.
//
//	WEBHOOK_SECRET=whsec_... go run ./examples/webhookreceiver events.log
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/webhook"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: webhookreceiver FILE")
	}
	j, err := openJournal(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	r := j.receiver(jwtauth.Secret(os.Getenv("WEBHOOK_SECRET")))
	if err := r.Check(); err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8090", Handler: r, ReadTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// journal is a file with a line for each event that was taken: its id and what
// it was. A service of more than one process would use a table whose key is the
// id.
type journal struct {
	mu   sync.Mutex
	file *os.File
	done map[string]bool
}

func openJournal(name string) (*journal, error) {
	j := &journal{done: make(map[string]bool)}
	old, err := os.Open(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		defer old.Close()
		for lines := bufio.NewScanner(old); lines.Scan(); {
			id, _, _ := strings.Cut(lines.Text(), " ")
			j.done[id] = true
		}
	}
	j.file, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return j, err
}

func (j *journal) receiver(secrets ...jwtauth.Secret) webhook.Receiver {
	return webhook.Receiver{Secrets: secrets, Handle: j.take}
}

// take writes an event down before it says that it has it.
func (j *journal) take(_ context.Context, id string, m webhook.Message) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.done[id] {
		return nil
	}
	if _, err := fmt.Fprintf(j.file, "%s %s %s\n", id, m.Type, m.Data.Result); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.done[id] = true
	return nil
}

func (j *journal) Close() error { return j.file.Close() }
