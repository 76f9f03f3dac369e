package scaleup

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSentence(t *testing.T) {
	keeps := Problem{Code: CodeBadCapacity, Effect: Drops, Field: "metadata.annotations[memory]", Value: "500mb", Why: "is no quantity", Fix: "write 500M"}
	odd := Problem{Code: CodeHostUnknown, Effect: Misleads, Why: "the host is not known", Fix: "promise it"}
	of := func(groups ...GroupVerdict) Verdict {
		return Verdict{Pod: "team/web", Autoscaler: "1.36.1", Groups: groups}
	}
	scales := of(GroupVerdict{Group: "default/md-1"})
	scales.Scales = []string{"MachineDeployment default/md-1"}
	gated := of()
	gated.Problems = []Problem{{Code: CodeGated, Effect: Keeps, Field: "spec.schedulingGates", Value: "x", Why: "has a gate", Fix: "take it off"}}
	gated.Assumed = true
	for _, c := range []struct {
		v     Verdict
		wants []string
	}{
		{scales, []string{"Cluster Autoscaler 1.36.1 adds a node of MachineDeployment default/md-1"}},
		{gated, []string{"1.36.1 (assumed) adds no node: spec.schedulingGates=\"x\": has a gate", "To fix: take it off"}},
		{of(), []string{"no group of Cluster API is for it"}},
		{of(GroupVerdict{Group: "md-0", Problems: []Problem{odd}}, GroupVerdict{Group: "md-1", Problems: []Problem{odd, keeps, keeps}}),
			[]string{`adds no node: md-1: metadata.annotations[memory]="500mb": is no quantity (`, "To fix: write 500M; more: tsunagu doctor scale-up --pod team/web"}},
	} {
		text := c.v.Sentence(1024)
		for _, want := range c.wants {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in %q", want, text)
			}
		}
	}
	var many Verdict
	for i := range 50 {
		many.Groups = append(many.Groups, GroupVerdict{Group: fmt.Sprintf("größe-%d", i), Problems: []Problem{keeps}})
	}
	many.Pod = "team/web"
	for most := 60; most < 1200; most++ {
		text := many.Sentence(most)
		if len(text) > most || !utf8.ValidString(text) || !strings.HasSuffix(text, "tsunagu doctor scale-up --pod team/web") {
			t.Fatalf("in %d bytes: %d %q", most, len(text), text)
		}
	}
	if text := many.Sentence(1024); !strings.Contains(text, " more groups; more: ") {
		t.Errorf("what is left out is not said: %q", text)
	}
}
