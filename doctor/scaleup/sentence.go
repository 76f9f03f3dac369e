package scaleup

import (
	"fmt"
	"strings"
)

// Sentence is the verdict in at most so many bytes, for an Event: of each group what stands in the way first, and as many groups as there is
// room for.
func (v Verdict) Sentence(most int) string {
	begin := "Cluster Autoscaler " + v.Autoscaler
	if v.Assumed {
		begin += " (assumed)"
	}
	if len(v.Scales) > 0 {
		return shortened(begin+" adds a node of "+strings.Join(v.Scales, " or "), most)
	}
	var reasons []string
	for _, p := range v.Problems {
		reasons = append(reasons, p.Sentence())
	}
	for _, g := range v.Groups {
		for _, p := range g.Problems {
			if p.drops() || p.Effect == Keeps {
				reasons = append(reasons, g.Group+": "+p.Sentence())
				break
			}
		}
	}
	if len(reasons) == 0 {
		reasons = []string{"no group of Cluster API is for it"}
	}
	text, end := begin+" adds no node: ", "; more: tsunagu doctor scale-up --pod "+v.Pod
	for i, r := range reasons {
		if i > 0 {
			r = "; " + r
		}
		if rest := fmt.Sprintf("; and %d more groups", len(reasons)-i); i > 0 && len(text)+len(r)+len(rest)+len(end) > most {
			text += rest
			break
		}
		text += r
	}
	return shortened(text, most-len(end)) + end
}

// Sentence says where what stands, what comes of it, and what to do.
func (p Problem) Sentence() string {
	where := p.Field
	if p.Value != "" {
		where += fmt.Sprintf("=%q", p.Value)
	}
	if where != "" {
		where += ": "
	}
	return fmt.Sprintf("%s%s (%s). To fix: %s", where, p.Why, p.Code, p.Fix)
}

// shortened cuts between two runes.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most -= len("…"); most > 0 && text[most]&0xc0 == 0x80; most-- {
	}
	return text[:most] + "…"
}
