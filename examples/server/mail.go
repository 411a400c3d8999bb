package main

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/smtpmail"
)

// openMailer reads the flag -mail.
func openMailer(where string) (jwtauth.Mailer, error) {
	switch {
	case where == "":
		return nil, nil
	case strings.HasPrefix(where, "smtp://"), strings.HasPrefix(where, "smtps://"):
		return smtpmail.Open(where)
	}
	return mailDir(where), os.MkdirAll(where, 0o700)
}

// sendMail waits a moment for the mails that are queued when the server stops.
func (a *app) sendMail() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return a.auth.Close(ctx)
}

// mailDir writes each mail into a file, for trying things out: mail programs
// open .eml files, and so does a text editor.
type mailDir string

// Send implements jwtauth.Mailer.
func (dir mailDir) Send(_ context.Context, m jwtauth.Message) error {
	var b bytes.Buffer
	body := multipart.NewWriter(&b)
	fmt.Fprintf(&b, "To: %s\r\nSubject: %s\r\nDate: %s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=%s\r\n\r\n",
		m.To, mime.QEncoding.Encode("utf-8", m.Subject), m.Data.Time.Format(time.RFC1123Z), body.Boundary())
	for _, part := range []struct{ media, text string }{{"text/plain", m.Text}, {"text/html", m.HTML}} {
		w, err := body.CreatePart(textproto.MIMEHeader{
			"Content-Type": {part.media + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"}})
		if err != nil {
			return err
		}
		q := quotedprintable.NewWriter(w)
		if _, err := q.Write([]byte(part.text)); err != nil {
			return err
		}
		if err := q.Close(); err != nil {
			return err
		}
	}
	if err := body.Close(); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s-*.eml", m.Data.Time.Format("20060102-150405"), m.Kind)
	return writeNew(string(dir), name, b.Bytes())
}

// writeNew stores a file under a name that nobody sees before it is complete.
func writeNew(dir, pattern string, data []byte) error {
	f, err := os.CreateTemp(dir, ".writing-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	unique := strings.TrimPrefix(filepath.Base(f.Name()), ".writing-")
	return os.Rename(f.Name(), filepath.Join(dir, strings.Replace(pattern, "*", unique, 1)))
}
