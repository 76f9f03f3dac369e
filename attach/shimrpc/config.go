package shimrpc

import (
	"errors"
	"strconv"
	"time"
)

// Config is the little that the shim reads of its configuration; the agent reads the rest.
type Config struct {
	// Version is cniVersion.
	Version string
	// Socket is where the agent listens.
	Socket string
	// Retry is how long an agent that does not answer is tried again (key retrySeconds).
	Retry time.Duration
	// Timeout is how long one call may take in all (key timeoutSeconds).
	Timeout time.Duration
}

// How long the shim waits unless the configuration says otherwise. The agent is away for a second or two while it restarts; containerd
// gives a sandbox 2 to 4 minutes.
const (
	defaultRetry   = 8 * time.Second
	defaultTimeout = 90 * time.Second
)

var errConfig = errors.New("not a JSON object")

// ParseConfig reads the shim's keys from the top level of a configuration. It looks at no more of the JSON than it takes to find them;
// errors elsewhere are the agent's to report.
func ParseConfig(raw []byte) (Config, error) {
	c := Config{Socket: Socket, Retry: defaultRetry, Timeout: defaultTimeout}
	s := scanner{raw: raw}
	err := s.object(func(key string, value []byte) error {
		switch key {
		case "cniVersion":
			c.Version = text(value)
		case "socket":
			if v := text(value); v != "" {
				c.Socket = v
			}
		case "retrySeconds":
			return seconds(value, &c.Retry)
		case "timeoutSeconds":
			return seconds(value, &c.Timeout)
		}
		return nil
	})
	if c.Retry > c.Timeout {
		c.Retry = c.Timeout
	}
	return c, err
}

// text is the value of a JSON string without escapes; none of the shim's keys needs them.
func text(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	return string(value[1 : len(value)-1])
}

func seconds(value []byte, to *time.Duration) error {
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(f >= 0) || f > 3600 {
		return errors.New("retrySeconds and timeoutSeconds are numbers from 0 to 3600, not " + string(value))
	}
	*to = time.Duration(f * float64(time.Second))
	return nil
}

// scanner walks over JSON (RFC 8259) without understanding more than where values end.
type scanner struct {
	raw []byte
	at  int
}

// object calls visit with each member of the object at the scanner.
func (s *scanner) object(visit func(key string, value []byte) error) error {
	if !s.take('{') {
		return errConfig
	}
	for first := true; ; first = false {
		if s.take('}') {
			return nil
		}
		if !first && !s.take(',') {
			return errConfig
		}
		s.space()
		key, ok := s.value()
		if !ok || len(key) < 2 || key[0] != '"' || !s.take(':') {
			return errConfig
		}
		s.space()
		value, ok := s.value()
		if !ok {
			return errConfig
		}
		if err := visit(text(key), value); err != nil {
			return err
		}
	}
}

// value takes the value at the scanner: a string, something bracketed, or a bare word.
func (s *scanner) value() ([]byte, bool) {
	start, depth := s.at, 0
	for s.at < len(s.raw) {
		switch c := s.raw[s.at]; c {
		case '"':
			if !s.skipString() {
				return nil, false
			}
			s.at--
		case '{', '[':
			depth++
		case '}', ']', ',':
			if depth == 0 {
				return s.raw[start:s.at], s.at > start
			}
			if c != ',' {
				depth--
			}
		case ' ', '\t', '\r', '\n', ':':
			if depth == 0 {
				return s.raw[start:s.at], s.at > start
			}
		}
		s.at++
		if depth == 0 {
			if c := s.raw[s.at-1]; c == '"' || c == '}' || c == ']' {
				return s.raw[start:s.at], true
			}
		}
	}
	return nil, false
}

func (s *scanner) skipString() bool {
	for s.at++; s.at < len(s.raw); s.at++ {
		switch s.raw[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return true
		}
	}
	return false
}

func (s *scanner) take(c byte) bool {
	s.space()
	if s.at < len(s.raw) && s.raw[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.at < len(s.raw) {
		switch s.raw[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}
