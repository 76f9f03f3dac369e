package lease

import (
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/vip/planted"
)

// bugs are what the schedules must find.
var bugs = []planted.Bug{
	{Name: "promises at once after a restart", File: "machine.go", Change: []string{"if !c.First {", "if false {"}},
	{Name: "the owner counts from the answer", File: "candidate.go", Change: []string{"max(m.me.valid[in.From.ID], at.Add(", "max(m.me.valid[in.From.ID], max(at, now).Add("}},
	{Name: "no guard against clocks of another speed", File: "timing.go", Change: []string{"return d - d/20", "return d"}},
	{Name: "a late release frees a newer promise", File: "acceptor.go", Change: []string{"|| p.to != in.From || in.Epoch < p.epoch {", "|| p.to.ID != in.From.ID {"}},
	{Name: "half is a majority", File: "members.go", Change: []string{"need := len(ids)/2 + 1", "need := (len(ids) + 1) / 2"}},
	{Name: "a joint list needs the new majority alone", File: "members.go", Change: []string{"if !ok || len(m.Out) == 0 {", "if !ok || len(m.Out) >= 0 {"}},
	{Name: "lists are forgotten by a restart", File: "change.go", Change: []string{"m.out.Keep = &kept", "_ = kept"}},
	{Name: "a change does not wait for the majority", File: "change.go", Change: []string{"if !m.settled() {\n\t\t\treturn\n\t\t}", ""}},
	{Name: "two promises at a time", File: "acceptor.go", Change: []string{"case p.lasts(now) && p.to != from:", "case p.lasts(now) && p.to != from && p.epoch >= epoch:"}},
	{Name: "still owns when it has told others that it does not", File: "candidate.go", Change: []string{
		"m.role = follower\n\trelease :=", "release :=",
		"\tm.me = attempt{epoch: m.me.epoch, round: m.me.round}\n}", "}"}},
}

// TestPlantedBugsAreFound builds the package with each bug in it and demands
// that TestNeverTwoOwners fails.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, bug := range bugs {
		t.Run(bug.Name, func(t *testing.T) {
			t.Parallel()
			out, found := bug.Run(t, "TestNeverTwoOwners", "TSUNAGU_SCHEDULES=30000")
			if !found {
				t.Fatal("no schedule finds it")
			}
			_, where, _ := strings.Cut(out, "sim_test.go")
			t.Log(strings.SplitN(where, "\n", 2)[0])
		})
	}
}
