package link

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// knobs is where the network's sysctls are; the kernel shows those of the calling thread's namespace.
const knobs = "/proc/sys/net"

// Knob is an open sysctl of one namespace, to be set for a while and put back.
type Knob struct {
	file *os.File
	was  []byte
}

// TurnHere sets a sysctl below net (such as "ipv6/conf/default/accept_ra") of the calling thread's namespace, and remembers the value
// it had. A kernel without it, for example one without IPv6, gives nil, which can be put back too.
func TurnHere(path, value string) (*Knob, error) {
	f, err := os.OpenFile(filepath.Join(knobs, path), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("set sysctl: %w", err)
	}
	var b [32]byte
	n, err := f.ReadAt(b[:], 0)
	if n == 0 && err != nil {
		f.Close()
		return nil, fmt.Errorf("read sysctl %s: %w", path, err)
	}
	k := &Knob{file: f, was: bytes.TrimSpace(b[:n])}
	if string(k.was) == value {
		f.Close()
		return nil, nil
	}
	if _, err := f.WriteAt([]byte(value), 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("set sysctl %s to %s: %w", path, value, err)
	}
	return k, nil
}

// Was is the value before; "" when nothing was turned.
func (k *Knob) Was() string {
	if k == nil {
		return ""
	}
	return string(k.was)
}

// Back puts the old value back. It works from any thread.
func (k *Knob) Back() error {
	if k == nil {
		return nil
	}
	_, err := k.file.WriteAt(k.was, 0)
	return errors.Join(err, k.file.Close())
}

// WriteHere sets a sysctl for good. One that does not exist is an error.
func WriteHere(path, value string) error {
	if err := os.WriteFile(filepath.Join(knobs, path), []byte(value), 0); err != nil {
		return fmt.Errorf("set sysctl: %w", err)
	}
	return nil
}

// ReadHere reads a sysctl; "" when it does not exist.
func ReadHere(path string) string {
	b, err := os.ReadFile(filepath.Join(knobs, path))
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}
