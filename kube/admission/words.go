package admission

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/near"
)

func isNotFound(err error) bool { return errors.Is(err, attach.ErrNotFound) }

// counted is "1 address is", "2 addresses are".
func counted(n int64) string {
	if n == 1 {
		return "1 address is"
	}
	return fmt.Sprintf("%d addresses are", n)
}

// few names the first of many.
func few[T any](all []T) string {
	const most = 5
	var words []string
	for i, one := range all {
		if i == most {
			words = append(words, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		words = append(words, fmt.Sprint(one))
	}
	return strings.Join(words, ", ")
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// nearPools names what may have been meant.
func nearPools(have []string, want string) string {
	meant := near.Names(want, have)
	if len(meant) == 0 {
		return ". To fix: create it, or correct the name"
	}
	return fmt.Sprintf("; near names: %s. To fix: create it, or correct the name", strings.Join(meant, ", "))
}
