package doctor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// diagnosis is a cluster with one thing wrong, or something that looks wrong
// and is not.
type diagnosis struct {
	name  string
	spoil func(*Snapshot)
	// code is of the check that looks; other checks may find something too.
	code string
	// want are the findings of that check: severity, object, then words of
	// cause or fix, each separated by " | ".
	want []string
	// after is the code of the finding that the first one follows from.
	after string
}

var diagnoses = slices.Concat(nodeDiagnoses, installDiagnoses, networkDiagnoses, podDiagnoses, addressDiagnoses, insideDiagnoses, machineDiagnoses, aroundDiagnoses, ownDiagnoses, placingDiagnoses)

func TestDiagnoses(t *testing.T) {
	for _, d := range diagnoses {
		t.Run(d.code+" "+d.name, func(t *testing.T) {
			s := healthy(t)
			d.spoil(s)
			var found []Finding
			for _, f := range Run(s, Checks()).Findings {
				if f.Code == d.code {
					found = append(found, f)
				}
			}
			if len(found) != len(d.want) {
				t.Fatalf("want %d findings, have %+v", len(d.want), found)
			}
			for i, f := range found {
				matches(t, f, strings.Split(d.want[i], " | "))
			}
			if d.after != "" && (found[0].CausedBy == nil || found[0].CausedBy.Code != d.after) {
				t.Errorf("want it to follow from %s, have %+v", d.after, found[0].CausedBy)
			}
			if d.after == "" && len(found) > 0 && found[0].CausedBy != nil {
				t.Errorf("want it to follow from nothing, have %+v", found[0].CausedBy)
			}
		})
	}
}

func matches(t *testing.T, f Finding, want []string) {
	t.Helper()
	if string(f.Severity) != want[0] || f.Object.String() != want[1] {
		t.Errorf("want %s about %s, have %s about %s", want[0], want[1], f.Severity, f.Object)
	}
	for _, words := range want[2:] {
		if !strings.Contains(f.Cause+"\n"+f.Fix, words) {
			t.Errorf("want %q in cause or fix, have cause %q, fix %q", words, f.Cause, f.Fix)
		}
	}
	if f.Cause == "" || f.Breaks == "" || f.Fix == "" {
		t.Errorf("a finding says cause, what it breaks and what to do: %+v", f)
	}
}

func TestHealthyClusterHasNoFindings(t *testing.T) {
	r := Run(healthy(t), Checks())
	if len(r.Findings) > 0 || len(r.Skipped) > 0 || r.Checks != len(Checks()) {
		t.Errorf("want nothing of all checks, have %+v", r)
	}
}

// Every check has a case with a finding and one without, so that none is dead.
func TestEveryCheckIsDiagnosed(t *testing.T) {
	for _, c := range Checks() {
		with := slices.ContainsFunc(diagnoses, func(d diagnosis) bool { return d.code == c.Code && len(d.want) > 0 })
		without := slices.ContainsFunc(diagnoses, func(d diagnosis) bool { return d.code == c.Code && len(d.want) == 0 })
		if !with || !without {
			t.Errorf("%s (%s): a case with a finding: %t, one without: %t", c.Code, c.Title, with, without)
		}
	}
}

func TestCodesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, c := range Checks() {
		if other, ok := seen[c.Code]; ok {
			t.Errorf("%s is both %q and %q", c.Code, other, c.Title)
		}
		seen[c.Code] = c.Title
		if len(c.Code) != 7 || !strings.HasPrefix(c.Code, "TSU") || c.Title == "" || c.Explain == "" || len(c.Needs) == 0 {
			t.Errorf("%+v is incomplete", c)
		}
	}
}

// A check that lacks what it needs says so and guesses nothing.
func TestUnreadPartsAreSkipped(t *testing.T) {
	for _, c := range Checks() {
		for _, part := range c.Needs {
			s := &Snapshot{Time: now, Unread: map[Part]string{part: "not permitted"}}
			r := Run(s, []Check{c})
			if len(r.Findings) != 0 || len(r.Skipped) != 1 || r.Checks != 0 {
				t.Errorf("%s without %s: want it skipped, have %+v", c.Code, part, r)
			}
		}
	}
}

// Nothing panics on an empty cluster or on one of which half is missing.
func TestChecksSurviveHoles(t *testing.T) {
	Run(&Snapshot{}, Checks())
	full := healthy(t)
	full.Pods = append(full.Pods, corev1.Pod{}, waiting("w", `[{"name":"blue"},{}]`))
	full.Definitions = append(full.Definitions, definition("", "", "null"), definition("a", "b", `{"plugins":[null]}`), definition("a", "c", "[]"))
	for _, drop := range []func(*Snapshot){
		func(s *Snapshot) { s.Nodes = nil }, func(s *Snapshot) { s.Definitions = nil }, func(s *Snapshot) { s.Pools = nil },
		func(s *Snapshot) { s.DaemonSets = nil }, func(s *Snapshot) { s.Deployments = nil }, func(s *Snapshot) { s.CRDs = nil },
	} {
		s := *full
		drop(&s)
		Run(&s, Checks())
	}
}

// A consequence stands behind its cause, and a cause that is no finding is
// forgotten.
func TestArrange(t *testing.T) {
	node, pod := nodeObject("n"), Object{"Pod", "d", "p"}
	all := arrange([]Finding{
		{Code: "TSU4001", Severity: Error, Object: pod, CausedBy: &Cause{"TSU1002", node}},
		{Code: "TSU5001", Severity: Warning, Object: pod, CausedBy: &Cause{"TSU9999", node}},
		{Code: "TSU1002", Severity: Error, Object: node},
		{Code: "TSU1001", Severity: Info, Object: node},
	})
	var order []string
	for _, f := range all {
		order = append(order, fmt.Sprintf("%s/%t", f.Code, f.CausedBy != nil))
	}
	if want := "TSU1002/false TSU4001/true TSU5001/false TSU1001/false"; strings.Join(order, " ") != want {
		t.Errorf("want %s, have %s", want, strings.Join(order, " "))
	}
}

func TestWorst(t *testing.T) {
	for _, c := range []struct {
		have []Severity
		want Severity
	}{
		{nil, ""}, {[]Severity{Info}, Info}, {[]Severity{Info, Warning}, Warning}, {[]Severity{Warning, Error, Info}, Error},
	} {
		var r Report
		for _, s := range c.have {
			r.Findings = append(r.Findings, Finding{Severity: s})
		}
		if r.Worst() != c.want {
			t.Errorf("of %v want %q, have %q", c.have, c.want, r.Worst())
		}
	}
}
