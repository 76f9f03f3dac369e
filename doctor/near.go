package doctor

import (
	"slices"
	"strings"
)

// didYouMean is a clause for the end of a sentence that names the candidates
// nearest to a word, or "".
func didYouMean(word string, candidates []string) string {
	near := Nearest(word, candidates)
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

// Nearest returns up to three candidates that are a slip away from a word.
func Nearest(word string, candidates []string) []string {
	if word == "" {
		return nil
	}
	type scored struct {
		name     string
		distance int
	}
	var near []scored
	for _, c := range candidates {
		// Two slips, in long words one in three letters; a word that is part
		// of the other is near too.
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if d <= max(2, len(word)/3) && d < len(word) {
			near = append(near, scored{c, d})
		} else if len(word) > 2 && strings.Contains(c, word) {
			near = append(near, scored{c, len(c)})
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	var names []string
	for _, n := range near {
		if len(names) < 3 && !slices.Contains(names, n.name) {
			names = append(names, n.name)
		}
	}
	return names
}

// distance is the number of letters to insert, remove, replace or swap with
// their neighbour (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now := make([]int, len(b)+1)
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
