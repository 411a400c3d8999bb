package jwtauth

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// personal is what a record tells about a person.
type personal struct {
	UserID    string `json:"user,omitempty"`
	ActorID   string `json:"actor,omitempty"`
	SessionID string `json:"session,omitempty"`
	TokenID   string `json:"token,omitempty"`
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"agent,omitempty"`
	DeviceID  string `json:"device,omitempty"`
	RequestID string `json:"request,omitempty"`
}

// The first byte of AuditRecord.Personal says how to read the rest.
const (
	personalClear  = 0 // JSON
	personalSealed = 1 // AES-256-GCM with a random nonce in front: NIST SP 800-38D
)

func newAuditKey() AuditKey {
	k := AuditKey{Key: make([]byte, 32)}
	subject := make([]byte, 16)
	rand.Read(k.Key) // never fails: the program ends instead (crypto/rand)
	rand.Read(subject)
	k.Subject = encodeID(subject)
	return k
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealPersonal encrypts what tells about the owner of a key, for one record:
// under another ID it does not open. Without a key there is nobody to protect,
// and it stays readable.
func sealPersonal(k AuditKey, id string, p personal) ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	if k.Subject == "" {
		return append([]byte{personalClear}, text...), nil
	}
	aead, err := gcm(k.Key)
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte{personalSealed}, nil, text, []byte(id)), nil
}

var errPersonal = errors.New("the personal part of a record does not open")

// openPersonal is sealPersonal backwards. A record whose key was destroyed is
// no error: erased is true then.
func openPersonal(r AuditRecord) (p personal, erased bool, err error) {
	if len(r.Personal) == 0 {
		return p, false, errPersonal
	}
	text := r.Personal[1:]
	switch r.Personal[0] {
	case personalClear:
	case personalSealed:
		if len(r.Key) == 0 {
			return p, true, nil
		}
		aead, err := gcm(r.Key)
		if err != nil {
			return p, false, errPersonal
		}
		if text, err = aead.Open(nil, nil, text, []byte(r.ID)); err != nil {
			return p, false, errPersonal
		}
	default:
		return p, false, errPersonal
	}
	if json.Unmarshal(text, &p) != nil {
		return personal{}, false, errPersonal
	}
	return p, false, nil
}

// chainHash is the hash of a record at a place, given the hash before it.
func chainHash(before []byte, sequence int64, r AuditRecord) []byte {
	h := sha256.New()
	writeFields(h, []byte("jwtauth audit record v1"), before, number(sequence), []byte(r.ID), number(r.Time.UnixMicro()),
		[]byte(r.Name), []byte(r.Result), []byte(r.Reason), number(r.Count), []byte(r.Subject), r.Personal)
	return h.Sum(nil)
}

func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// The two ends of the chain. Each proof is for one of them: where the head could
// pass for the anchor, a trail without a single record would look purged.
const (
	anchorEnd = "audit anchor"
	headEnd   = "audit head"
)

// mark makes a mark of ours: its proof is a MAC under a key of the current
// secret, behind the id of that secret.
func (s secrets) mark(end string, sequence int64, hash []byte) AuditMark {
	return AuditMark{sequence, hash, append([]byte(s.current.id), s.current.markMAC(end, sequence, hash)...)}
}

// ours reports whether we made a mark, for that end. In front of the first
// record there is nothing to prove.
func (s secrets) ours(end string, m AuditMark) bool {
	if m.Sequence == 0 && len(m.Hash) == 0 {
		return true
	}
	if len(m.Proof) != secretIDBytes+sha256.Size {
		return false
	}
	k, ok := s.byID[string(m.Proof[:secretIDBytes])]
	return ok && hmac.Equal(m.Proof[secretIDBytes:], k.markMAC(end, m.Sequence, m.Hash))
}

func (k secretKeys) markMAC(end string, sequence int64, hash []byte) []byte {
	return k.keyed(end, string(number(sequence)), string(hash))
}

// addressKey is the hash by which records of an address are found.
func (k secretKeys) addressKey(address string) string {
	if address == "" {
		return ""
	}
	return encodeID(k.keyed("audit address", address)[:16])
}

// recordTime is a time as every store keeps it.
func recordTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// chainWalk follows the chain from one mark to another.
type chainWalk struct {
	at    int64
	hash  []byte
	marks []AuditMark
}

// step takes the next record.
func (w *chainWalk) step(r AuditRecord) error {
	if err := w.passes(w.at, w.hash); err != nil {
		return err
	}
	if r.Sequence != w.at+1 {
		return fmt.Errorf("record %d is missing", w.at+1)
	}
	hash := chainHash(w.hash, r.Sequence, r)
	if !bytes.Equal(hash, r.Hash) {
		return fmt.Errorf("record %d was changed, or moved", r.Sequence)
	}
	w.at, w.hash = r.Sequence, hash
	return nil
}

// passes checks the marks of a place.
func (w *chainWalk) passes(at int64, hash []byte) error {
	for _, m := range w.marks {
		if m.Sequence == at && !bytes.Equal(m.Hash, hash) {
			return fmt.Errorf("record %d is not the one that was there before", at)
		}
	}
	return nil
}

// finish compares where it got with where the chain ends.
func (w *chainWalk) finish(head AuditMark) error {
	if w.at != head.Sequence || !bytes.Equal(w.hash, head.Hash) {
		return fmt.Errorf("the end is not that of record %d", w.at)
	}
	for _, m := range w.marks {
		if m.Sequence > w.at {
			return fmt.Errorf("the trail ends at record %d and did not before", w.at)
		}
	}
	return w.passes(w.at, w.hash)
}
