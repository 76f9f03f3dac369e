package doctor

import (
	"strings"

	"github.com/tsunagu-net/tsunagu/near"
)

// didYouMean is a clause for the end of a sentence that names the candidates
// nearest to a word, or "".
func didYouMean(word string, candidates []string) string {
	meant := near.Names(word, candidates)
	if len(meant) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(meant, " or ") + "?"
}
