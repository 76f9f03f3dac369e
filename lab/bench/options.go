package bench

import (
	"flag"
	"fmt"
	"slices"
	"time"
)

// Options say what is measured and how often.
type Options struct {
	// Root is the product's source tree.
	Root string
	// Work is a directory on a real disk, for etcd, the peers' files and logs. It is set by Box.
	Work string
	// Pairs is how often each contender attaches and detaches one Pod.
	Pairs int
	// Gap is the pause after each of these, in which the work that a contender put off can end.
	Gap time.Duration
	// Rounds is how often each contender attaches Pods many at a time: Pods of them, Flight at once.
	Rounds, Pods, Flight int
	// Shims is how often the shim is executed alone.
	Shims int
	// AddressRounds is how often each scenario of addresses is run by each side; Scenario limits the run to one of them.
	AddressRounds int
	Scenario      string
	// Placements is how many Pods are placed in each of webhookCases.
	Placements int
	// Lab is one that runs, for the part ready: ReadyPods Pods on its node Node, ReadyRounds times with networks and without.
	Lab, Node              string
	ReadyPods, ReadyRounds int
	// Only limits the run to one part: attach, wide, burst, shim, ipam, packets or webhook; or it is ready, which no other run has.
	Only string
	// Side limits it to one contender, Ours or Peer: for profiles.
	Side string
	// JSON prints the figures for programs.
	JSON bool
	// Check makes a target that is missed an error.
	Check bool
	// Keep leaves the logs of the programs in the working directory.
	Keep bool
	// Hold stops before measuring until the run is interrupted, to look at the machine.
	Hold  bool
	quick bool
}

// ParseOptions reads the command line.
func ParseOptions(args []string) (Options, error) {
	var o Options
	f := flag.NewFlagSet("tsunagu-bench", flag.ContinueOnError)
	f.StringVar(&o.Root, "root", ".", "the product's source tree")
	f.IntVar(&o.Pairs, "pairs", 300, "how often each side attaches and detaches one Pod")
	f.DurationVar(&o.Gap, "gap", 20*time.Millisecond, "pause after each of these")
	f.IntVar(&o.Rounds, "rounds", 10, "how often each side attaches many Pods")
	f.IntVar(&o.Pods, "pods", 200, "how many Pods that is")
	f.IntVar(&o.Flight, "flight", 50, "how many of them at once")
	f.IntVar(&o.Shims, "shims", 200, "how often the shim is executed alone")
	f.IntVar(&o.AddressRounds, "address-rounds", 1, "how often each scenario of addresses is run by each side")
	f.IntVar(&o.Placements, "placements", 2000, "how many Pods are placed in a cluster of 1000 nodes, of each kind")
	f.StringVar(&o.Scenario, "scenario", "", "with -only ipam, one of its scenarios: "+scenarioNames())
	f.StringVar(&o.Only, "only", "", "measure one part only: attach, wide, burst, shim, ipam, packets or webhook; or ready, in a lab (-lab)")
	f.StringVar(&o.Lab, "lab", "", "with -only ready, the lab that it runs in")
	f.StringVar(&o.Node, "node", "node2", "with -only ready, the node that the Pods are on")
	f.IntVar(&o.ReadyPods, "ready-pods", 100, "with -only ready, how many Pods")
	f.IntVar(&o.ReadyRounds, "ready-rounds", 3, "with -only ready, how often they come and go")
	f.StringVar(&o.Side, "side", "", "run one side only: "+Ours+" or "+Peer)
	f.BoolVar(&o.JSON, "json", false, "print JSON")
	f.BoolVar(&o.Check, "check", false, "exit with code 2 when a target is missed")
	f.BoolVar(&o.Keep, "keep", false, "keep the programs' logs")
	f.BoolVar(&o.Hold, "hold", false, "stop before measuring until interrupted")
	f.BoolVar(&o.quick, "quick", false, "a few rounds only, to prove that it runs")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("argument %q is not understood: there are only flags (-h lists them)", f.Arg(0))
	}
	if o.quick {
		o.Pairs, o.Rounds, o.Pods, o.Flight, o.Shims, o.AddressRounds = 5, 1, 20, 10, 10, 1
		o.Placements = 50
	}
	switch o.Only {
	case "", "attach", "wide", "burst", "shim", "ipam", "packets", "webhook":
	case "ready":
		if o.Lab == "" || o.ReadyPods < 1 || o.ReadyRounds < 1 {
			return o, fmt.Errorf("-only ready needs -lab, the name of a lab that runs, and at least one of -ready-pods and -ready-rounds")
		}
	default:
		return o, fmt.Errorf("-only %q is none of attach, wide, burst, shim, ipam, packets, webhook, ready", o.Only)
	}
	if o.Scenario != "" && !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == o.Scenario }) {
		return o, fmt.Errorf("-scenario %q is none of %s", o.Scenario, scenarioNames())
	}
	if o.Scenario != "" && !o.wants("ipam") {
		return o, fmt.Errorf("-scenario %s goes with -only ipam: it is a scenario of addresses", o.Scenario)
	}
	if o.Side != "" && o.Side != Ours && o.Side != Peer {
		return o, fmt.Errorf("-side %q is neither %s nor %s", o.Side, Ours, Peer)
	}
	if o.Pairs < 1 || o.Rounds < 1 || o.Pods < 1 || o.Flight < 1 || o.Shims < 1 || o.AddressRounds < 1 || o.Placements < 1 {
		return o, fmt.Errorf("-pairs, -rounds, -pods, -flight, -shims, -address-rounds and -placements are at least 1")
	}
	return o, nil
}

func (o Options) wants(part string) bool { return o.Only == "" || o.Only == part }
