package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// What is promised of addresses.
const (
	burstPerSecond, burstP99   = 1000, 20 // at the agent's socket; ms
	sharedPerSecond, twoWrites = 100, 2   // of a /28 for 50 nodes
	flatRatio                  = 1.2      // p50, with 50,000 held addresses over with none
	recoverMost                = 2000     // ms
)

func scenarioNames() string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func (a *Addresses) cell(scenario, side, what string) *Cell {
	for _, c := range a.Cells {
		if c.Scenario == scenario && c.Side == side && c.What == what {
			return c
		}
	}
	return nil
}

// targets holds our side's figures against the promises.
func (a *Addresses) targets() (t []Target) {
	if a == nil {
		return nil
	}
	if c := a.cell("burst", Ours, "ADD"); c != nil {
		per, _, _ := c.writes()
		t = append(t, atLeast("addresses/s, 200 ADDs, 50 at once, 50 nodes, /16", median(c.PerSecond), burstPerSecond),
			atMost("  p99 of a round, median of rounds, ms", median(c.P99), burstP99), atMost("  API writes per ADD", per, 0), atMost("  failed", float64(c.failed()), 0))
	}
	if c := a.cell("shared", Ours, "life"); c != nil {
		per, telling, _ := c.writes()
		t = append(t, atLeast("lives/s, /28 for 50 nodes", median(c.PerSecond), sharedPerSecond), atMost("  API writes per life", per+telling, twoWrites))
	}
	if c := a.cell("full", Ours, "in use of 14"); c != nil {
		t = append(t, atLeast("addresses of a /28 that 50 nodes get into use", float64(c.OK), usable28))
	}
	if c := a.cell("full", Ours, "recover"); c != nil {
		t = append(t, atMost("full /28: ms until a free address is used again", c.Latency.Max, recoverMost), atMost("  not recovered", float64(c.failed()), 0))
	}
	if none, most := a.cell("flat", Ours, besideHeld(50_000)), a.cell("flat", Ours, atHeld(50_000)); none != nil && most != nil {
		t = append(t, atMost("p50 of ADD, with 50,000 held / none", most.Latency.P50/none.Latency.P50, flatRatio))
	}
	if c := a.cell("static", Ours, "one for 20"); c != nil {
		t = append(t, atMost("static address: winners of 20 at once, less one each", math.Abs(float64(c.OK-10*a.Rounds)), 0))
	}
	for _, verb := range []string{"ADD", "DEL"} {
		if c := a.cell("outage", Ours, verb); c != nil {
			t = append(t, atMost(verb+"s refused while the API server stands still", float64(c.failed()), 0))
		}
	}
	return append(t, atMost("duplicates", float64(len(a.Duplicates[Ours])), 0), atMost("leaks", float64(len(a.Leaks[Ours])), 0))
}

// text is one table: a row per call and side.
func (a *Addresses) text(b *strings.Builder) {
	fmt.Fprintf(b, "\nAddresses: %d nodes, one API server whose etcd syncs; %d round(s) in turns; milliseconds. Of %s: the agents' sockets, allocators and\n"+
		"journals, without the wiring; of %s: the plugin, executed per call. Writes are API requests that change something, per call\n"+
		"that went well, + those that tell how full blocks are, and those that were tried in vain; CPU is of nodes and caller, and of API server and etcd.\n", a.Nodes, a.Rounds, Ours, Whereabouts)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\t\t\tok\tfailed\tper s\tp50\tp90\tp99\tmax\twrites\t+\tin vain\treads\tputs\tCPU\tserver\t")
	cells := slices.Clone(a.Cells)
	slices.SortStableFunc(cells, func(x, y *Cell) int { return a.place(x) - a.place(y) })
	for _, c := range cells {
		writes, telling, vain := c.writes()
		l := c.Latency
		if c.OK == 0 || l.Count == 0 {
			l = c.Refused
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%.4g\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", c.Scenario, c.What, c.Side, c.OK, c.failed(),
			median(c.PerSecond), l.P50, l.P90, l.P99, l.Max, writes, telling, vain, c.reads(), c.Puts, c.CPU, c.ServerCPU)
	}
	t.Flush()
	for _, c := range cells {
		if c.failed() > 0 {
			fmt.Fprintf(b, "%s %s of %s failed %v after p50 %.1f, max %.1f ms: %.160s\n", c.Scenario, c.What, c.Side, c.Failed, c.Refused.P50, c.Refused.Max, strings.Join(c.First[:1], ""))
		}
	}
	for _, side := range []string{Ours, Whereabouts} {
		if _, ran := a.Duplicates[side]; !ran {
			continue
		}
		fmt.Fprintf(b, "the oracle found of %s: %d duplicates, %d leaks\n", side, len(a.Duplicates[side]), len(a.Leaks[side]))
		for _, x := range slices.Concat(head(a.Duplicates[side]), head(a.Leaks[side])) {
			fmt.Fprintln(b, "  "+x)
		}
	}
}

func head(list []string) []string { return list[:min(len(list), 5)] }

// place orders rows: by scenario and call as they first came, our side first.
func (a *Addresses) place(c *Cell) int {
	for i, x := range a.Cells {
		if x.Scenario == c.Scenario && x.What == c.What {
			if c.Side == Ours {
				return 2 * i
			}
			return 2*i + 1
		}
	}
	return 0
}
