package admission

import (
	"slices"
	"strings"
	"unicode"
)

// The API server sends warnings in headers (RFC 9110): up to 4 KiB in all, and
// when it is more each is cut at 256 characters.
const (
	mostWarnings   = 8
	longestWarning = 480
)

// worded makes warnings fit to be sent: each once, in one line, not too many.
func worded(warnings []string) []string {
	var out []string
	for _, w := range warnings {
		w = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) || r == unicode.ReplacementChar {
				return ' '
			}
			return r
		}, w)
		if runes := []rune(w); len(runes) > longestWarning {
			w = string(runes[:longestWarning-1]) + "…"
		}
		if w = "tsunagu: " + strings.TrimSpace(w); slices.Contains(out, w) {
			continue
		}
		if len(out) == mostWarnings {
			return append(out[:mostWarnings-1], "tsunagu: there is more, correct this first")
		}
		out = append(out, w)
	}
	return out
}
