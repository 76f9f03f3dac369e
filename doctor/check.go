package doctor

import (
	"slices"
	"strings"
)

// Check looks for one thing that can be wrong.
type Check struct {
	// Code is TSU and four digits. The first digit is the room: 1 nodes and
	// agents, 2 installation, 3 networks, 4 Pods, 5 addresses, 6 the inside of
	// a node, 7 what stands around tsunagu: Cluster API and its autoscaler
	// (70), scheduling (72), other plugins (73), the control plane (74),
	// routes (75). A code is never used for something else.
	Code string
	// Title is the finding in a few words.
	Title string
	// Explain says why it matters and how one gets there.
	Explain string
	// Needs are the parts of the Snapshot without which the check would be
	// guessing; it is left out when one could not be read.
	Needs []Part
	// Look returns what is wrong; it fills in everything but the code.
	Look func(*Snapshot) []Finding
}

// Checks lists every check by code.
func Checks() []Check {
	return slices.Concat([]Check{
		agentMissing, agentNotReady, mixedVersions, agentSilent,
		noPodCIDR, overlappingPodCIDRs, noInternalIP,
		crdMissing, crdOutdated, controllerDown, webhookSilent, webhookDistrusted,
		networkNotReady, foreignDefinition, networkLost, networkNowhere,
		brokenDefinition, unknownPlugin, unknownIPAM, missingPool,
		podRefused, unknownNetwork, badAnnotation, missingInterface, sandboxFailed,
		poolNearlyFull, poolFull, overlappingPools, orphanedBlock, duplicateAddress, gatewayGivenOut, leakedAddress, badPool,
		uncoveredAddress, strayAddress, strangersAddress,
		otherCNI, noServiceProxy, reversePathFilter,
	}, machineChecks(), aroundChecks())
}

// Report is the outcome of a run.
type Report struct {
	// Findings are sorted: the worst first, and what follows from another
	// finding after it.
	Findings []Finding `json:"findings"`
	// Skipped are checks that could not be made.
	Skipped []Skipped `json:"skipped"`
	// Checks is the number of checks that were made.
	Checks int `json:"checks"`
}

// Skipped is a check that could not be made, and why.
type Skipped struct {
	Code  string `json:"code"`
	Title string `json:"title"`
	Why   string `json:"why"`
}

// Run makes the checks over one Snapshot.
func Run(s *Snapshot, checks []Check) Report {
	report := Report{Findings: []Finding{}, Skipped: []Skipped{}}
	for _, c := range checks {
		if why := s.lacks(c.Needs); why != "" {
			report.Skipped = append(report.Skipped, Skipped{c.Code, c.Title, why})
			continue
		}
		report.Checks++
		for _, f := range c.Look(s) {
			f.Code = c.Code
			report.Findings = append(report.Findings, f)
		}
	}
	report.Findings = arrange(report.Findings)
	return report
}

// arrange puts the worst first and each consequence behind its cause, and
// forgets causes that turned out not to be findings.
func arrange(all []Finding) []Finding {
	slices.SortFunc(all, compare)
	for i := range all {
		if all[i].is(all[i].CausedBy) || !slices.ContainsFunc(all, func(f Finding) bool { return f.is(all[i].CausedBy) }) {
			all[i].CausedBy = nil
		}
	}
	ordered := make([]Finding, 0, len(all))
	placed := make([]bool, len(all))
	var place func(int)
	place = func(i int) {
		if placed[i] {
			return
		}
		placed[i] = true
		ordered = append(ordered, all[i])
		for j := range all {
			if all[i].is(all[j].CausedBy) {
				place(j)
			}
		}
	}
	for i := range all {
		if all[i].CausedBy == nil {
			place(i)
		}
	}
	for i := range all { // two findings that name each other
		place(i)
	}
	return ordered
}

// Worst is the severity of the worst finding, "" without any.
func (r Report) Worst() Severity {
	var worst Severity
	for _, f := range r.Findings {
		if worst == "" || f.Severity.rank() > worst.rank() {
			worst = f.Severity
		}
	}
	return worst
}

// Count returns the number of findings of a severity.
func (r Report) Count(of Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == of {
			n++
		}
	}
	return n
}

// list joins names for a sentence, the first few of many.
func list(names []string) string {
	const most = 6
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and " + plural(len(names)-most, "other")
	}
	return strings.Join(names, ", ")
}
