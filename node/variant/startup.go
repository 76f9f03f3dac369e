package variant

import (
	"fmt"
	"strings"
	"time"
)

// startupMost is how long a new node is kept free of Pods while some of its networks are not verified.
const startupMost = 10 * time.Minute

// Opens tells whether a new node's startup taint goes: when all networks of its pool are verified, or after ten minutes when one is, since labels keep
// Pods away that need the others. Trouble is what to say of a node on which none was by then: it keeps the taint.
func Opens(missing, networks []string, age time.Duration) (open bool, trouble string) {
	switch {
	case len(missing) == 0:
		return true, ""
	case age < startupMost:
		return false, ""
	case len(missing) < len(networks):
		return true, fmt.Sprintf("takes Pods without %s: not verified for %s", strings.Join(missing, ","), startupMost)
	}
	return false, fmt.Sprintf("takes no Pods: none of %s was verified within %s. To fix: see kubectl get nodenetworks, then delete its Machine", strings.Join(networks, ","), startupMost)
}
