package jwtauth

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
)

// OpenKeys reads the keys in a directory, and makes the first one if there is
// none; alg is "HS256", "RS256" or "ES256". Processes that start at once on the
// same directory end up with the same key.
//
// The file with the highest number signs, the others verify; of a .pem and a .key
// file with one number the .pem is the higher. A file is named
// by its number, an optional label and its kind, for example "0001.pem" or
// "2-spring.pem"; names that do not end in .pem or .key are passed over, and
// so are those that begin with a dot. A .pem file holds an RSA or EC key as
// [RS256] and [ES256] take it, private or public; a .key file holds a secret
// for HS256 as base64 text. Ids are derived from the keys as in [GenerateKey].
// The newest key must be able to sign, with alg.
//
// To rotate, add a file with the next number, by hand or with [AddKey], and
// call [KeySet.Reload] or start again. With several nodes, give the new file a
// number below the newest one first, so that all of them verify with it; once
// all have reloaded, raise it. Remove a file when the last token that its key
// signed has expired.
//
// A directory that is created gets mode 0700, files get 0600. A file that its
// group or others can read is refused, as its keys may have leaked; so is a
// directory that they can write to, as they could add a key that signs. Who owns
// directory and files is believed: a process of root must not be given the
// directory of somebody who may not make tokens. (Any other process can't read a
// file of mode 0600 that is not its own.) Windows has no such modes: there the access list of the directory is the operator's
// business. Where keys can't be stored like this, read them from elsewhere and
// use [NewKeySet].
func OpenKeys(dir, alg string) (*KeySet, error) {
	if !slices.Contains([]string{algHS256, algRS256, algES256}, alg) {
		return nil, fmt.Errorf("jwtauth: open keys: %w", errUnknownAlg)
	}
	s := &KeySet{dir: dir, alg: alg}
	files, err := keyFiles(dir)
	if err == nil && len(files) == 0 {
		// Whoever loses the race for number 1 takes the winner's key.
		if _, err = addKeyFile(dir, alg, 1); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("jwtauth: open keys: %w", err)
	}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// AddKey generates a key like [GenerateKey] and stores it in the directory as
// the newest one, which signs once the directory is read again: see [OpenKeys]
// about several nodes. Two calls at once add two keys. After number 999999999,
// the highest that a name can have, it returns an error.
func AddKey(dir, alg string) (Key, error) {
	for range 100 {
		files, err := keyFiles(dir)
		if err != nil {
			return Key{}, fmt.Errorf("jwtauth: add key: %w", err)
		}
		next := 1
		if len(files) > 0 {
			next = files[0].number + 1
		}
		if next > maxKeyNumber {
			return Key{}, fmt.Errorf("jwtauth: add key: no number is left above that of %s: rename it", files[0].path)
		}
		k, err := addKeyFile(dir, alg, next)
		if errors.Is(err, fs.ErrExist) {
			continue // another process took the number meanwhile
		}
		if err != nil {
			return Key{}, fmt.Errorf("jwtauth: add key: %w", err)
		}
		return k, nil
	}
	return Key{}, errors.New("jwtauth: add key: other processes keep adding keys")
}

// Reload reads the directory of [OpenKeys] again, and everybody who holds the
// set sees the result: new files are used, keys whose files are gone leave, and
// so do keys that Rotate or Accept added without a file. A key that was retired
// stays out while its file is there; if that is the newest file, there is nothing
// to sign with, which is an error. On an error the set stays as it is. Call it when a file was added, for example on a signal.
func (s *KeySet) Reload() error {
	return s.change(func(st *keyState) (*keyState, error) {
		if s.dir == "" {
			return nil, errors.New("jwtauth: reload: the key set was not opened from a directory")
		}
		keys, err := readKeys(s.dir)
		if err != nil {
			return nil, fmt.Errorf("jwtauth: read keys: %w", err)
		}
		if len(keys) == 0 {
			return nil, fmt.Errorf("jwtauth: read keys: %s holds none", s.dir)
		}
		if keys[0].m.alg != s.alg {
			return nil, fmt.Errorf("jwtauth: read keys: the newest key in %s is %s, not %s: add one with AddKey",
				s.dir, keys[0].m.alg, s.alg)
		}
		if s.retired[keys[0].m.id] {
			return nil, fmt.Errorf("jwtauth: read keys: the newest key in %s, %q, was retired: remove its file", s.dir, keys[0].m.id)
		}
		keys = slices.DeleteFunc(keys, func(k Key) bool { return s.retired[k.m.id] })
		for i, k := range keys {
			keys[i] = st.held(k)
		}
		return newKeyState(true, keys)
	})
}

// held returns the Key that st already has for the same material, so that what
// was verified with it stays valid for caches that compare Keys.
func (st *keyState) held(k Key) Key {
	if old, ok := st.byID[k.m.id]; ok && sameKey(old, k) && old.CanSign() == k.CanSign() {
		return old
	}
	return k
}

// OpenSecret reads the secret in a directory, for Config.Secret, and makes it
// if there is none: 32 random bytes as base64 text in the file "secret". The
// rules for directory and file are those of [OpenKeys], whose directory may be
// the same one.
func OpenSecret(dir string) ([]byte, error) {
	secret, err := openSecret(dir)
	if err != nil {
		return nil, fmt.Errorf("jwtauth: open secret: %w", err)
	}
	return secret, nil
}

func openSecret(dir string) ([]byte, error) {
	if err := ensureDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "secret")
	secret, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	fresh := make([]byte, generatedSecretBytes)
	rand.Read(fresh) // never fails: see crypto/rand
	if err := writeOnce(path, encodeSecret(fresh)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return readSecret(path) // what is there may be another process's
}

func encodeSecret(secret []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(nil, secret), '\n')
}

func readSecret(path string) ([]byte, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, fmt.Errorf("%s does not hold base64 text", path)
	}
	if err := checkSecret(secret); err != nil {
		return nil, fmt.Errorf("the secret in %s %w", path, err)
	}
	return secret, nil
}

// keyFile is a file of a key directory.
type keyFile struct {
	path   string
	number int
}

// kind is ".key" or ".pem". It is a part of the order, since the two can't keep
// each other from taking a number: each is a name of its own, and AddKey may be
// called with two algorithms at once.
func (f keyFile) kind() string { return filepath.Ext(f.path) }

// maxKeyNumber has as many digits as a name may.
const maxKeyNumber = 999999999

// keyFileName is a number, a label that only people read, and the kind.
var keyFileName = regexp.MustCompile(`^([0-9]{1,9})(?:-[A-Za-z0-9._-]*)?\.(?:pem|key)$`)

// keyFiles lists a key directory, which it creates if it is missing, the newest
// file first. A name that looks like a key's and has no number is an error: to
// pass over it would go on without a key that somebody meant to be used.
func keyFiles(dir string) ([]keyFile, error) {
	if err := ensureDir(dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []keyFile
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.Name()[0] == '.' || ext != ".pem" && ext != ".key" {
			continue
		}
		m := keyFileName.FindStringSubmatch(e.Name())
		if m == nil {
			return nil, fmt.Errorf("%s: the name of a key file must begin with its number, like 0001.pem",
				filepath.Join(dir, e.Name()))
		}
		n, _ := strconv.Atoi(m[1]) // at most nine digits
		files = append(files, keyFile{filepath.Join(dir, e.Name()), n})
	}
	slices.SortFunc(files, func(a, b keyFile) int {
		return cmp.Or(b.number-a.number, cmp.Compare(b.kind(), a.kind()))
	})
	for i := 1; i < len(files); i++ {
		if files[i].number == files[i-1].number && files[i].kind() == files[i-1].kind() {
			return nil, fmt.Errorf("%s and %s have the same number", files[i-1].path, files[i].path)
		}
	}
	return files, nil
}

func readKeys(dir string) ([]Key, error) {
	files, err := keyFiles(dir)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, len(files))
	for i, f := range files {
		raw, err := readRawKey(f.path)
		if err != nil {
			return nil, err
		}
		if keys[i], err = keyWithDerivedID(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
		if info, err := os.Stat(f.path); err == nil {
			keys[i].m.created = info.ModTime()
		}
	}
	return keys, nil
}

func readRawKey(path string) (any, error) {
	if filepath.Ext(path) == ".key" {
		return readSecret(path)
	}
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	raw, err := parsePEM(text)
	if err == nil {
		err = checkRawKey(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return raw, nil
}

// addKeyFile generates a key and stores it under a number; fs.ErrExist if the
// number is taken.
func addKeyFile(dir, alg string, number int) (Key, error) {
	raw, err := generate(alg)
	if err != nil {
		return Key{}, err
	}
	k, err := keyWithDerivedID(raw)
	if err != nil {
		return Key{}, err
	}
	text, ext, err := encodeRawKey(raw)
	if err != nil {
		return Key{}, err
	}
	return k, writeOnce(filepath.Join(dir, fmt.Sprintf("%04d%s", number, ext)), text)
}

func encodeRawKey(raw any) (text []byte, ext string, err error) {
	if secret, ok := raw.([]byte); ok {
		return encodeSecret(secret), ".key", nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(raw)
	return pem.EncodeToMemory(&pem.Block{Type: typePKCS8, Bytes: der}), ".pem", err
}

// othersRead and othersWrite are the mode bits of group and others.
const (
	othersRead  fs.FileMode = 0o077
	othersWrite fs.FileMode = 0o022
)

func ensureDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode()&othersWrite != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("others can write to %s, so they could add a key: chmod go-w it", dir)
	}
	return nil
}

// readPrivate reads a small file that nobody but its owner may read.
func readPrivate(path string) ([]byte, error) {
	// Ask before opening: to open a pipe would wait for its other end.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat() // of what was opened, whatever the name means by now
	if err != nil {
		return nil, err
	}
	if info.Mode()&othersRead != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("others can read %s (mode %04o), so its key may have leaked: replace it, or chmod it to 0600",
			path, info.Mode().Perm())
	}
	return io.ReadAll(io.LimitReader(f, maxPEM+1)) // one more, so that parsers see it is too long
}

// writeOnce creates a file with all of its content or not at all, for readers
// in other processes too: the content goes to a temporary file, and a hard link
// gives it its name unless that is taken, which is fs.ErrExist.
func writeOnce(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name survive a power failure: tokens signed with a key
// that is gone after it would all be refused.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories can't be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
