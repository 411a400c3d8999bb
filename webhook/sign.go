package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// The headers of a request.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// Tolerance is how far the timestamp of a request may be from the clock of the
// receiver.
const Tolerance = 5 * time.Minute

const (
	secretPrefix = "whsec_"
	minSecret    = 24
	maxSecret    = 64
	version      = "v1,"
	maxID        = 256
	// maxSignatures bounds what one request can make a receiver compare.
	maxSignatures = 16
)

var (
	// ErrSecret means that the receiver's own secrets are missing or unfit.
	ErrSecret = errors.New(`a secret is "whsec_" and base64 of 24 to 64 bytes`)
	// ErrUnverified means that a request was not made by who has a secret, or
	// that it is too old.
	ErrUnverified = errors.New("webhook: request not verified")
)

// NewSecret makes a secret of 32 random bytes.
func NewSecret() jwtauth.Secret {
	b := make([]byte, 32)
	rand.Read(b) // never fails: the program ends instead (crypto/rand)
	return jwtauth.Secret(secretPrefix + base64.StdEncoding.EncodeToString(b))
}

func decodeSecrets(secrets []jwtauth.Secret) ([][]byte, error) {
	keys := make([][]byte, len(secrets))
	for i, s := range secrets {
		text, ok := strings.CutPrefix(string(s), secretPrefix)
		key, err := base64.StdEncoding.Strict().DecodeString(text)
		if !ok || err != nil || len(key) < minSecret || len(key) > maxSecret {
			return nil, ErrSecret
		}
		keys[i] = key
	}
	return keys, nil
}

// mac covers the id and the time too: neither can be exchanged.
func mac(key []byte, id, timestamp string, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(id + "." + timestamp + "."))
	h.Write(body)
	return h.Sum(nil)
}

// sign returns the value of webhook-signature: one signature for each key.
func sign(keys [][]byte, id, timestamp string, body []byte) string {
	list := make([]string, len(keys))
	for i, key := range keys {
		list[i] = version + base64.StdEncoding.EncodeToString(mac(key, id, timestamp, body))
	}
	return strings.Join(list, " ")
}

// Verify reports whether a request was made by somebody who has one of the
// secrets, within [Tolerance] of now, and returns its webhook-id. body is what was
// received, byte by byte. [ErrUnverified] if not; [ErrSecret] if there is no
// secret to compare with.
//
// Within the tolerance a request can be sent again by somebody who saw it, and
// the sender repeats an event whose answer was lost. Whoever must not act
// twice remembers the ids that it is done with.
func Verify(header http.Header, body []byte, now time.Time, secrets ...jwtauth.Secret) (id string, err error) {
	keys, err := decodeSecrets(secrets)
	if err == nil && len(keys) == 0 {
		err = ErrSecret
	}
	if err != nil {
		return "", fmt.Errorf("webhook: %w", err)
	}
	id, timestamp, signatures := single(header, HeaderID), single(header, HeaderTimestamp), single(header, HeaderSignature)
	switch {
	case !validID(id):
		return "", fmt.Errorf("%w: no valid webhook-id", ErrUnverified)
	case !recent(timestamp, now):
		return "", fmt.Errorf("%w: no webhook-timestamp within %v", ErrUnverified, Tolerance)
	case !signed(keys, id, timestamp, signatures, body):
		return "", fmt.Errorf("%w: no webhook-signature of ours", ErrUnverified)
	}
	return id, nil
}

// single returns the only value of a header, whatever the case of its name; ""
// if there are several: two readers may take different ones.
func single(header http.Header, name string) string {
	var value string
	n := 0
	for key, values := range header {
		if strings.EqualFold(key, name) && len(values) > 0 {
			value, n = values[0], n+len(values)
		}
	}
	if n != 1 {
		return ""
	}
	return value
}

// validID refuses the dot, which separates what is signed: with it "a.1" at "2"
// could be read as "a" at "1".
func validID(id string) bool {
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' || c == '.' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// recent accepts one spelling of a time: decimal seconds.
func recent(timestamp string, now time.Time) bool {
	n, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != timestamp {
		return false
	}
	const seconds = int64(Tolerance / time.Second)
	at := now.Unix()
	return n >= at-seconds && n <= at+seconds
}

// signed compares each signature with each key, and does not stop at the first
// that fits. Signatures of versions that it does not know are passed over.
func signed(keys [][]byte, id, timestamp, signatures string, body []byte) bool {
	list := strings.Split(signatures, " ")
	if len(list) > maxSignatures {
		return false
	}
	ok := false
	for _, key := range keys {
		want := mac(key, id, timestamp, body)
		for _, s := range list {
			text, known := strings.CutPrefix(s, version)
			got, err := base64.StdEncoding.Strict().DecodeString(text)
			if known && err == nil && hmac.Equal(got, want) {
				ok = true
			}
		}
	}
	return ok
}
