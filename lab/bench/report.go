package bench

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// The product's promises (in ratios to the peer, milliseconds, MiB).
const (
	ratioP50, ratioP99 = 0.25, 0.40
	wideRatio          = 1.5
	readyRatio         = 1.1
	burstRatio         = 3
	shimWall, shimSize = 5, 5
	agentSize          = 40
	placeP99           = 5
	settleWithin       = 10
)

// judge holds the figures against the promises.
func (f *Figures) judge() {
	add := func(t ...Target) { f.Targets = append(f.Targets, t...) }
	if a := f.Attach; a != nil && len(a.Add) == 2 {
		add(atMost("ADD p50, ours / reference", a.AddRatio.P50, ratioP50), atMost("ADD p99, ours / reference", a.AddRatio.P99, ratioP99),
			atMost("DEL p50, ours / reference", a.DelRatio.P50, ratioP50), atMost("DEL p99, ours / reference", a.DelRatio.P99, ratioP99))
	}
	if a := f.Attach; a != nil && a.Add[Ours].Count > 0 {
		// Status and Events are written beside the wiring, the counts of a block once a second. Blocks are leased for many Pods at once.
		besides := a.Requests.writes("patch pods/status", "create events", "patch events", "update ipblocks")
		add(atMost("API writes per ADD besides status, Events, counts", float64(besides)/float64(a.Pairs), 0.1))
	}
	if a := f.Attach; a != nil && a.Alone != nil {
		refused := 0.
		if a.Alone.Error != "" {
			refused = 1
		}
		add(atMost("refused while the API server stands still", refused, 0))
	}
	if w := f.Wide; w != nil {
		add(atMost("ADD p50, "+wideSide+" / "+narrowSide, w.AddRatio.P50, wideRatio))
	}
	if b := f.Burst; b != nil && b.Sides[Ours] != nil {
		add(atMost("errors of many ADDs at once", float64(b.Sides[Ours].Errors), 0))
		if len(b.Sides) == 2 {
			add(atLeast("Pods/s of many ADDs at once, ours / reference", b.Ratio["ADD"], burstRatio))
		}
	}
	add(f.Addresses.targets()...)
	add(f.Webhook.targets()...)
	if s := f.Shim; s != nil {
		add(atMost("shim alone, ms (p99)", s.Wall.P99, shimWall), atMost("shim alone, MiB", mib(s.Peak.Peak), shimSize))
	}
	if f.AgentStart != nil {
		add(atMost("agent at rest, MiB", mib(f.AgentStart.Resident), agentSize))
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// Text is the report for people.
func (f *Figures) Text() string {
	var b strings.Builder
	m := f.Machine
	fmt.Fprintf(&b, "tsunagu bench · %s · Linux %s · %d cores · %s\nload average %s at the beginning, %s at the end\n",
		m.Date.Format("2006-01-02 15:04 MST"), m.Kernel, m.Cores, m.CPU, m.Load, m.LoadTo)
	if m.busy() {
		b.WriteString("The machine was busy with something else when the run began: ratios are of neighbours in time, but mistrust milliseconds and p99.\n")
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	if f.Attach != nil {
		f.Attach.text(&b, t)
	}
	if f.Wide != nil {
		f.Wide.text(&b, t)
	}
	if f.Burst != nil {
		f.Burst.text(&b, t)
	}
	if s := f.Shim; s != nil {
		fmt.Fprintf(&b, "\nThe shim's process alone, %d times, less its wait for the agent: p50 %.2f ms, p99 %.2f ms; %.1f MiB resident at most (file %d KiB)\n",
			s.Count, s.Wall.P50, s.Wall.P99, mib(s.Peak.Peak), s.FileKiB)
	}
	if f.AgentStart != nil && f.AgentEnd != nil {
		fmt.Fprintf(&b, "\nThe agent: %.1f MiB resident at rest (%.1f anonymous), %.1f at the end, %.1f at most; %.1f s of CPU\nIts API requests to start: %s\n",
			mib(f.AgentStart.Resident), mib(f.AgentStart.Anon), mib(f.AgentEnd.Resident), mib(f.AgentEnd.Peak), f.AgentCPU/1000, f.Requests)
	}
	if f.Addresses != nil {
		f.Addresses.text(&b)
	}
	if f.Webhook != nil {
		fmt.Fprintln(t, "\tp50\tp90\tp99\tmax\t")
		f.Webhook.text(&b, func(what string, x Summary) {
			fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t\n", what, x.P50, x.P90, x.P99, x.Max)
		})
		t.Flush()
	}
	if len(f.Packets) > 0 {
		fmt.Fprintf(&b, "\nPackets between Pods of two nodes: gpe is %s, plain routes without a tunnel, vxlan with forwarding entries\n%s\n",
			Ours, strings.Join(f.Packets, "\n"))
	}
	if len(f.Targets) > 0 {
		b.WriteString("\nTargets\n")
		t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, x := range f.Targets {
			fmt.Fprintln(t, x.line())
		}
		t.Flush()
	}
	return b.String()
}

func (t Target) line() string {
	bound, verdict := "at most", "met"
	if t.Least {
		bound = "at least"
	}
	if !t.Met {
		verdict = "MISSED"
	}
	return fmt.Sprintf("  %s\t%.3g\t%s %.3g\t%s", t.What, t.Have, bound, t.Want, verdict)
}

var sides = []string{Ours, Peer}

func (s *Sequential) text(b *strings.Builder, t *tabwriter.Writer) {
	fmt.Fprintf(b, "\nOne Pod at a time: eth0 and two macvlan interfaces; %d pairs in turns, %.0f ms apart; milliseconds\n"+
		"(%s: one shim, eth0 with IPv4 and IPv6, cluster-wide addresses; %s: ptp, macvlan, macvlan with host-local, IPv4 only)\n",
		s.Pairs, s.GapMS, Ours, Peer)
	fmt.Fprintln(t, "\t\tp50\tp90\tp99\tmax\t")
	for _, v := range []struct {
		verb  string
		side  map[string]Summary
		ratio Ratio
	}{{"ADD", s.Add, s.AddRatio}, {"DEL", s.Del, s.DelRatio}} {
		for _, name := range sides {
			if x, ok := v.side[name]; ok {
				fmt.Fprintf(t, "%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t\n", v.verb, name, x.P50, x.P90, x.P99, x.Max)
			}
		}
		if len(v.side) == 2 {
			fmt.Fprintf(t, "%s\tratio\t%.3f\t\t%.3f\t\t\n", v.verb, v.ratio.P50, v.ratio.P99)
		}
	}
	t.Flush()
	if s.Add[Ours].Count > 0 {
		fmt.Fprintf(b, "API requests of these %d ADDs and DELs: %s\n", s.Pairs, s.Requests)
	}
	stages(b, s.Stages)
	if a := s.Alone; a != nil {
		fmt.Fprintf(b, "With the API server standing still: %d ADDs, p50 %.2f, p99 %.2f; %d DELs, p50 %.2f, p99 %.2f %s\n",
			a.Add.Count, a.Add.P50, a.Add.P99, a.Del.Count, a.Del.P50, a.Del.P99, a.Error)
	}
}

func (f *Wide) text(b *strings.Builder, t *tabwriter.Writer) {
	fmt.Fprintf(b, "\nPods with five interfaces beside Pods with one; %d pairs in turns; milliseconds\n", f.Pairs)
	fmt.Fprintln(t, "\t\tp50\tp90\tp99\tmax\t")
	for _, v := range []struct {
		verb  string
		side  map[string]Summary
		ratio Ratio
	}{{"ADD", f.Add, f.AddRatio}, {"DEL", f.Del, f.DelRatio}} {
		for _, name := range []string{wideSide, narrowSide} {
			x := v.side[name]
			fmt.Fprintf(t, "%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t\n", v.verb, name, x.P50, x.P90, x.P99, x.Max)
		}
		fmt.Fprintf(t, "%s\tratio\t%.3f\t\t%.3f\t\t\n", v.verb, v.ratio.P50, v.ratio.P99)
	}
	t.Flush()
	stages(b, f.Stages)
}

func (u *Burst) text(b *strings.Builder, t *tabwriter.Writer) {
	fmt.Fprintf(b, "\n%d Pods on one node, %d at once; %d rounds in turns; Pods per second, latency and the machine's CPU per Pod in milliseconds\n", u.Pods, u.Flight, u.Rounds)
	fmt.Fprintln(t, "\t\tPods/s\tleast\tmost\tp50\tp99\tCPU\terrors\t")
	for _, verb := range []string{"ADD", "DEL"} {
		for _, name := range sides {
			s := u.Sides[name]
			if s == nil {
				continue
			}
			rates := Rates(s.PerSecond[verb])
			fmt.Fprintf(t, "%s\t%s\t%.0f\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\t%d\t\n", verb, name, median(rates), rates.least(), rates.most(),
				s.Latency[verb].P50, s.Latency[verb].P99, median(s.CPU[verb]), s.Errors)
		}
		if len(u.Sides) == 2 {
			fmt.Fprintf(t, "%s\tratio\t%.2f\t%.2f\t\t\t\t\t\t\n", verb, u.Ratio[verb], u.RatioLow[verb])
		}
	}
	t.Flush()
	for _, name := range sides {
		if s := u.Sides[name]; s != nil && len(s.First) > 0 {
			fmt.Fprintf(b, "first errors of %s:\n  %s\n", name, strings.Join(s.First, "\n  "))
		}
	}
	if u.Sides[Ours] != nil {
		fmt.Fprintf(b, "API requests of these %d ADDs and DELs: %s\n", u.Pods*u.Rounds, u.Requests)
	}
	stages(b, u.Stages)
}

// stages tells where the agent says that time went.
func stages(b *strings.Builder, list []Stage) {
	for _, s := range list {
		fmt.Fprintf(b, "  %-70s %6.0f × %7.3f ms\n", s.Name, s.Count, s.Mean)
	}
}
