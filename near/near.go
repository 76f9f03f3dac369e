// Package near guesses what a misspelt name was meant to be, for messages that
// name the fix. It owns the distance between names and knows nothing of what
// they name. Start reading at Names.
package near

import (
	"cmp"
	"slices"
	"strings"
)

// Names picks up to three of those that there are which somebody who wrote want may have meant, nearest first. Two slips are near, in long
// names one in three letters, and so is a name that is a part of the other. Capitals do not count.
func Names(want string, have []string) []string {
	type scored struct {
		name  string
		score int
	}
	var found []scored
	folded := strings.ToLower(want)
	for _, name := range have {
		other := strings.ToLower(name)
		d := Distance(folded, other)
		if len(folded) >= 3 && (strings.Contains(other, folded) || strings.Contains(folded, other) && len(other) >= 3) {
			d = min(d, 2)
		}
		if d <= max(2, len(want)/3) && d < max(len(want), 1) {
			found = append(found, scored{name, d})
		}
	}
	slices.SortFunc(found, func(a, b scored) int { return cmp.Or(cmp.Compare(a.score, b.score), strings.Compare(a.name, b.name)) })
	var names []string
	for _, f := range found {
		if len(names) < 3 && !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return names
}

// longest is the length from which names are compared no more: what people write by hand is shorter, and the work grows with its square.
const longest = 64

// Distance counts the single-byte edits from a to b, a swap of neighbours being one (optimal string alignment). Of a name of more than 64
// bytes it is the length of the longer one.
func Distance(a, b string) int {
	if len(a) > longest || len(b) > longest {
		return max(len(a), len(b))
	}
	var before, last, now [longest + 1]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last = last, now
	}
	return last[len(b)]
}
