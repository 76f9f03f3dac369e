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
		// A slip in three letters; a word that is part of the other is near too.
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if d <= max(1, len(word)/3) {
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

// distance is the number of letters to insert, remove or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
