package jwtauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/text/unicode/norm"
)

// PasswordConfig is about passwords: how they are hashed, which are accepted
// and how much hashing goes on at once. The zero value is the safe default.
//
// New hashes are argon2id (RFC 9106) over the NFC form of the password, so
// that two keyboards which compose "é" differently open the same account.
// Foreign hashes were made from whatever bytes were sent, and are compared with
// exactly those. Spaces count everywhere. A hash with other parameters, or of
// another scheme, is replaced at the next login.
type PasswordConfig struct {
	// Memory is what one argon2id hash takes, in KiB. Default 19456.
	Memory int
	// Time is the number of passes over it. Default 2. Memory and Time
	// together must reach one of OWASP's equal choices: 47104 and 1, 19456
	// and 2, 12288 and 3, 9216 and 4, 7168 and 5. At most 16 passes, 256 MiB,
	// and 1 GiB of memory times passes.
	Time int
	// Parallelism is the number of lanes, each a goroutine. Default 1, at
	// most 16.
	Parallelism int
	// InsecureForTests accepts Memory, Time and MinLength below their floors.
	InsecureForTests bool

	// Verifiers know hashes of other systems, asked in this order for what is
	// neither argon2id nor bcrypt. See [PasswordVerifier].
	Verifiers []PasswordVerifier
	// DearestHash is any stored hash of the dearest foreign scheme that the
	// store holds. It is only used to spend as much time on an unknown user.
	// Without it that is learned when such an account first logs in, and
	// until then the time of the answer can tell that it exists.
	DearestHash Secret

	// MinLength is counted in code points. Default 8, the least that OWASP
	// ASVS accepts; NIST SP 800-63B-4 advises 15 where the password is the
	// only factor. At most 64. The longest password is 1,024 bytes.
	MinLength int
	// Blocked refuses further passwords, for example from a list of breached
	// ones. It is called last, for new passwords alone. An error refuses the
	// request with [ErrUnavailable]: what can't be checked is not accepted.
	// The text of the error is logged, so it must not contain the password.
	Blocked func(ctx context.Context, password string) (bool, error)

	// MaxConcurrent is how many hashes are computed at once; each takes
	// Memory. Default GOMAXPROCS - 1, at least 1: the last processor serves
	// all other requests.
	MaxConcurrent int
	// MaxQueue is how many more may wait for their turn; the rest get
	// [ErrOverloaded] at once. Default 16 for each of MaxConcurrent; negative
	// means none.
	MaxQueue int
	// MaxWait is how long one may wait before it gets [ErrOverloaded].
	// Default 1 s, at most 1 min.
	MaxWait time.Duration
}

// PasswordVerifier checks hashes that another system stored. Its hashes are
// never made, only checked, and replaced by argon2id at the next login.
type PasswordVerifier interface {
	// Recognizes reports whether the stored hash is of this scheme, well
	// formed, and cheap enough to compute: bounds on memory and rounds belong
	// here, before any work. A hash that nobody recognizes never matches.
	Recognizes(hash string) bool
	// Verify reports whether the password is the one. The password has 1 to
	// 1,024 bytes, exactly as they came. An error counts as no match.
	Verify(hash, password string) (bool, error)
}

// PasswordCoster is an optional part of a [PasswordVerifier]. It decides which
// foreign scheme is the dearest, see [PasswordConfig.DearestHash].
type PasswordCoster interface {
	// Cost is about how many microseconds one verification takes. Only the
	// order matters. Without this method a hash counts as 1.
	Cost(hash string) int
}

const (
	defaultMemory     = 19456 // KiB
	defaultTime       = 2
	defaultMinLength  = 8
	maxMinLength      = 64
	maxPassword       = 1024 // bytes
	defaultQueueRatio = 16
	defaultMaxWait    = time.Second
	maxMaxWait        = time.Minute
	maxConcurrent     = 1024
	maxQueue          = 1 << 16
)

// withDefaults returns a copy of cfg that shares no slice with it and has no
// zero value left where a default is documented.
func (cfg PasswordConfig) withDefaults() PasswordConfig {
	defaultTo(&cfg.Memory, defaultMemory)
	defaultTo(&cfg.Time, defaultTime)
	defaultTo(&cfg.Parallelism, 1)
	defaultTo(&cfg.MinLength, defaultMinLength)
	defaultTo(&cfg.MaxConcurrent, max(1, runtime.GOMAXPROCS(0)-1))
	defaultTo(&cfg.MaxQueue, defaultQueueRatio*cfg.MaxConcurrent)
	cfg.MaxQueue = max(cfg.MaxQueue, 0)
	defaultTo(&cfg.MaxWait, defaultMaxWait)
	cfg.Verifiers = append([]PasswordVerifier(nil), cfg.Verifiers...)
	return cfg
}

// validate reports every mistake of a PasswordConfig that has its defaults.
func (cfg PasswordConfig) validate() error {
	var errs []error
	wrong := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New("jwtauth: Config.Passwords."+what))
		}
	}
	wrong(cfg.Memory < 0 || cfg.Memory > maxArgonMemory, "Memory must be at most 262144 KiB")
	wrong(cfg.Time < 0 || cfg.Time > maxArgonTime, "Time must be between 1 and 16")
	wrong(cfg.Parallelism < 0 || cfg.Parallelism > maxArgonThreads, "Parallelism must be between 1 and 16")
	if errs == nil { // so that the conversion in params is safe
		wrong(!cfg.params().bounded(), "Memory must be at least 8 KiB a lane, and with Time at most 1 GiB")
		wrong(!cfg.InsecureForTests && !cfg.params().strong(), "Memory and Time are below OWASP's floor (19456 KiB and 2)")
	}
	wrong(cfg.MinLength < defaultMinLength && !cfg.InsecureForTests || cfg.MinLength < 1 || cfg.MinLength > maxMinLength,
		"MinLength must be between 8 and 64")
	wrong(cfg.MaxConcurrent < 1 || cfg.MaxConcurrent > maxConcurrent, "MaxConcurrent must be between 1 and 1024")
	wrong(cfg.MaxQueue > maxQueue, "MaxQueue must be at most 65536")
	wrong(cfg.MaxWait < 0 || cfg.MaxWait > maxMaxWait, "MaxWait must be between 0 and 1 min")
	for i, v := range cfg.Verifiers {
		wrong(v == nil, fmt.Sprintf("Verifiers[%d] is nil", i))
	}
	if errs == nil && cfg.DearestHash != "" {
		_, known := cfg.parseHash(string(cfg.DearestHash))
		wrong(!known, "DearestHash is of no known scheme")
	}
	return errors.Join(errs...)
}

func (cfg PasswordConfig) params() argon2idParams {
	return argon2idParams{memory: uint32(cfg.Memory), time: uint32(cfg.Time), threads: uint8(cfg.Parallelism)}
}

// hasher makes and checks password hashes. Every computation holds a slot of
// the governor.
type hasher struct {
	cfg     PasswordConfig
	gov     *governor
	own     storedHash                 // what the configured parameters cost
	foreign atomic.Pointer[storedHash] // the dearest other one seen, or nil
	count   atomic.Uint64
	meter   *meter
}

// newHasher takes a cfg that has its defaults and is valid.
func newHasher(cfg PasswordConfig) *hasher {
	h := &hasher{cfg: cfg, gov: newGovernor(cfg.MaxConcurrent, cfg.MaxQueue, cfg.MaxWait)}
	h.own = argon2idHash{cfg.params(), make([]byte, saltBytes), make([]byte, tagBytes)}.stored()
	if s, ok := cfg.parseHash(string(cfg.DearestHash)); ok {
		h.learn(s)
	}
	return h
}

// hashingSlot is the right to compute, one computation at a time. Between
// acquire and verify the caller may do what has to happen only if the
// password is really going to be looked at, such as counting the attempt.
type hashingSlot struct {
	h    *hasher
	ctx  context.Context // for measurements
	give func()          // back; nil when that was done
}

// acquire waits for a slot: [ErrOverloaded] if the queue is full or the wait
// too long, [ErrUnavailable] if ctx ends first. account is the one that the
// caller has proved a tie to, such as a known device: that comes before
// strangers, for whom it is "".
func (h *hasher) acquire(ctx context.Context, account string) (*hashingSlot, error) {
	give, err := h.gov.acquire(ctx, account)
	if err != nil {
		h.meter.shed(ctx, err)
		return nil, err
	}
	h.meter.hashing(ctx, h.gov)
	return &hashingSlot{h: h, ctx: ctx, give: give}, nil
}

// release gives the slot back. Doing so twice is harmless.
func (s *hashingSlot) release() {
	if s.give != nil {
		s.give()
		s.give = nil
		s.h.meter.hashing(s.ctx, s.h.gov)
	}
}

// verify reports whether the password belongs to the stored hash. No answer
// but true tells anything by its duration: a check that fails computes one
// hash of the configured scheme and one of the dearest foreign scheme seen, if
// any, whether it was for a user with either of them, for one without a usable
// hash (stored is empty, a marker, or refused) or for nobody. An account whose
// hash is of a third kind adds that one computation to the two, so a guesser
// may tell such accounts, by less than the dearest kind takes, until their next
// login replaces the hash.
//
// The empty password and one over 1,024 bytes never match and cost nothing,
// for any user.
func (s *hashingSlot) verify(stored Secret, password string) bool {
	if password == "" || len(password) > maxPassword {
		return false
	}
	hash, usable := s.h.cfg.parseHash(string(stored))
	if usable {
		s.h.learn(hash)
		if s.compute(hash, password) {
			return true
		}
	}
	if hash.class != s.h.own.class {
		s.compute(s.h.own, password)
	}
	if f := s.h.foreign.Load(); f != nil && f.class != hash.class {
		s.compute(*f, password)
	}
	return false
}

// hash returns the PHC string for a new password. The policy is the caller's.
// account is as for acquire.
func (h *hasher) hash(ctx context.Context, account, password string) (Secret, error) {
	if password == "" || len(password) > maxPassword {
		return "", ErrWeakPassword
	}
	slot, err := h.acquire(ctx, account)
	if err != nil {
		return "", err
	}
	defer slot.release()
	a := argon2idHash{argon2idParams: h.cfg.params(), salt: make([]byte, saltBytes)}
	rand.Read(a.salt) // never fails: crypto/rand ends the program instead
	slot.compute(storedHash{match: func(password string) bool {
		a.tag = a.sum(norm.NFC.String(password), tagBytes)
		return true
	}}, password)
	return Secret(a.encode()), nil
}

// needsRehash reports whether the hash is not what hash would make today.
func (h *hasher) needsRehash(stored Secret) bool {
	a, ok := parseArgon2id(string(stored))
	return !ok || a.argon2idParams != h.cfg.params() || len(a.salt) < saltBytes || len(a.tag) < tagBytes
}

// computed is how many hashes were computed so far.
func (h *hasher) computed() uint64 { return h.count.Load() }

func (s *hashingSlot) compute(hash storedHash, password string) bool {
	s.h.count.Add(1)
	defer s.h.meter.hash(s.ctx)()
	return hash.match(password)
}

// learn remembers the dearest foreign scheme. Only hashes from the store get
// here, within the bounds that parseHash sets.
func (h *hasher) learn(s storedHash) {
	for s.class != h.own.class {
		old := h.foreign.Load()
		if old != nil && old.cost >= s.cost || h.foreign.CompareAndSwap(old, &s) {
			return
		}
	}
}
