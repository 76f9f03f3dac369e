package attach

import (
	"cmp"
	"slices"
	"strings"
)

// near picks the names that somebody who wrote want may have meant, nearest first.
func near(want string, have []string) []string {
	type scored struct {
		name  string
		score int
	}
	var found []scored
	for _, name := range have {
		d := distance(want, name)
		if len(want) >= 3 && (strings.Contains(name, want) || strings.Contains(want, name) && len(name) >= 3) {
			d = min(d, 2)
		}
		if d <= max(2, len(want)/3) {
			found = append(found, scored{name, d})
		}
	}
	slices.SortFunc(found, func(a, b scored) int { return cmp.Or(cmp.Compare(a.score, b.score), strings.Compare(a.name, b.name)) })
	var names []string
	for _, f := range found[:min(3, len(found))] {
		names = append(names, f.name)
	}
	return names
}

// distance counts the single-byte edits from a to b, a swap of neighbours being one (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	var before, last, now [65]int
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
