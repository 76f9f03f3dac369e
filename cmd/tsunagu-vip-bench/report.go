package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// handMax is the promise for a planned move, in milliseconds.
const handMax = 50

// apiMax is the promise for a killed API server of the owner's node: that of a lost node, though it is far less.
const apiMax = 700

// report prints the table and holds it against the promises.
func report(out io.Writer, seen map[string]map[string][]outcome) (met bool) {
	met = true
	fmt.Fprintln(out, "the control plane's address: how long the client has no answer (a question every 2 ms), and for how long two nodes claim it (asked every 5 ms); ms")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EVENT\tSIDE\tRUNS\tMEDIAN\tWORST\tTWO AT ONCE, WORST\tPROMISE")
	for _, e := range events() {
		for _, s := range sides() {
			all := seen[e.name][s.name]
			if len(all) == 0 {
				continue
			}
			var gaps []float64
			both := 0.
			for _, x := range all {
				gaps = append(gaps, x.Gap)
				both = max(both, x.Both)
			}
			slices.Sort(gaps)
			median, worst := gaps[len(gaps)/2], gaps[len(gaps)-1]
			promise := ""
			if s.ours {
				var kept bool
				promise, kept = judge(s, e, median, worst, both)
				met = met && kept
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%.0f\t%.0f\t%.0f\t%s\n", e.name, s.name, len(all), median, worst, both, promise)
		}
	}
	w.Flush()
	for _, e := range events() {
		if len(seen[e.name]) > 0 {
			fmt.Fprintf(out, "  %s: %s\n", e.name, e.what)
		}
	}
	return met
}

// judge holds one row against what was promised.
func judge(s side, e event, median, worst, both float64) (promise string, kept bool) {
	kept = both == 0
	promise = "never two"
	switch e.name {
	case "cut", "reboot":
		kept = kept && median <= s.cutMedian && worst <= s.cutMax
		promise = fmt.Sprintf("median %.0f, worst %.0f, %s", s.cutMedian, s.cutMax, promise)
	case "handover":
		kept = kept && worst <= handMax
		promise = fmt.Sprintf("worst %d, %s", handMax, promise)
	case "api":
		kept = kept && worst <= apiMax
		promise = fmt.Sprintf("worst %d, %s", apiMax, promise)
	}
	if kept {
		return promise + ": met", true
	}
	return promise + ": MISSED", false
}
