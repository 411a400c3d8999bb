package jwtauth

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// A refresh token is derived, not stored: a prefix, then base64url of
//
//	secret id (8) ‖ session id (16) ‖ generation (8, big endian) ‖ MAC (32)
//
// with MAC = HMAC-SHA256 over the 32 bytes before it, under a key that HKDF
// (RFC 5869) derives from Config.Secret. A forged one is refused without
// touching a store, a copy of the store is useless to whoever steals it, and
// the current token of a session can be made again for a client whose answer
// got lost.
const refreshPrefix = "jr1."

const (
	secretIDBytes  = 8
	sessionIDBytes = 16
	generationEnd  = secretIDBytes + sessionIDBytes + 8
	refreshBytes   = generationEnd + sha256.Size
)

// secretKeys are what derives from one Config.Secret: a key for each use, and
// an id that says which secret it was without telling anything about it.
type secretKeys struct {
	id      string
	refresh []byte
	codes   []byte
}

// secrets holds the current secret and the ones that are still accepted.
type secrets struct {
	current secretKeys
	old     []secretKeys
	byID    map[string]secretKeys
}

func newSecrets(current []byte, old [][]byte) (secrets, error) {
	s := secrets{byID: map[string]secretKeys{}}
	for i, raw := range append([][]byte{current}, old...) {
		k := deriveKeys(raw)
		if i == 0 {
			s.current = k
		} else {
			s.old = append(s.old, k)
		}
		if _, twice := s.byID[k.id]; twice {
			return secrets{}, errors.New("jwtauth: Config.OldSecrets repeats a secret")
		}
		s.byID[k.id] = k
	}
	return s, nil
}

func deriveKeys(secret []byte) secretKeys {
	derive := func(label string, n int) []byte {
		key, err := hkdf.Key(sha256.New, secret, nil, label, n)
		if err != nil { // only an impossible length
			panic("jwtauth: " + err.Error())
		}
		return key
	}
	return secretKeys{
		id:      string(derive("jwtauth secret id v1", secretIDBytes)),
		refresh: derive("jwtauth refresh token v1", sha256.Size),
		codes:   derive("jwtauth one-time code v1", sha256.Size),
	}
}

// refreshRef is what a genuine refresh token says.
type refreshRef struct {
	sessionID  string
	generation int64
}

// refreshToken derives the token of a session at its current generation.
func (s secrets) refreshToken(sess Session) (string, error) {
	id, err := decodeSecretID(sess.SecretID)
	if err != nil {
		return "", err
	}
	k, ok := s.byID[id]
	if !ok {
		return "", errors.New("the session was last moved with a secret that this node does not have")
	}
	sid, err := strictBase64.DecodeString(sess.ID)
	if err != nil || len(sid) != sessionIDBytes {
		return "", fmt.Errorf("session id is not %d bytes in base64url", sessionIDBytes)
	}
	b := make([]byte, 0, refreshBytes)
	b = append(b, k.id...)
	b = append(b, sid...)
	b = binary.BigEndian.AppendUint64(b, uint64(sess.Generation))
	b = append(b, k.mac(b)...)
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(b), nil
}

// parseRefreshToken accepts the exact text of a token that one of our secrets
// made, and nothing else.
func (s secrets) parseRefreshToken(token string) (refreshRef, error) {
	text, ok := strings.CutPrefix(token, refreshPrefix)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(refreshBytes) {
		return refreshRef{}, ErrInvalidRefreshToken.because(reason(ReasonMalformed))
	}
	b, ok := decodeSegment(make([]byte, refreshBytes), text)
	if !ok {
		return refreshRef{}, ErrInvalidRefreshToken.because(reason(ReasonMalformed))
	}
	k, ok := s.byID[string(b[:secretIDBytes])]
	if !ok {
		return refreshRef{}, ErrInvalidRefreshToken.because(reason(ReasonKey))
	}
	if !hmac.Equal(b[generationEnd:], k.mac(b[:generationEnd])) {
		return refreshRef{}, ErrInvalidRefreshToken.because(reason(ReasonSignature))
	}
	sid := b[secretIDBytes : secretIDBytes+sessionIDBytes]
	gen := binary.BigEndian.Uint64(b[secretIDBytes+sessionIDBytes:])
	return refreshRef{sessionID: encodeID(sid), generation: int64(gen)}, nil
}

func (k secretKeys) mac(b []byte) []byte {
	m := hmac.New(sha256.New, k.refresh)
	m.Write(b)
	return m.Sum(nil)
}

// secretID is the id of the current secret as sessions keep it.
func (s secrets) secretID() string { return encodeID([]byte(s.current.id)) }

func decodeSecretID(id string) (string, error) {
	b, err := strictBase64.DecodeString(id)
	if err != nil {
		return "", errors.New("session has a secret id that is not base64url")
	}
	return string(b), nil
}

func encodeID(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newSessionID() string {
	b := make([]byte, sessionIDBytes)
	rand.Read(b) // never fails: the program ends instead (crypto/rand)
	return encodeID(b)
}
