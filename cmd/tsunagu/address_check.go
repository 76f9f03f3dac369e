package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// addressChecks are the doctor's checks of who has which address.
var addressChecks = []string{"TSU5004", "TSU5005", "TSU5007", "TSU5009", "TSU5010"}

func (a *app) addressCheck() *cobra.Command {
	file := ""
	c := &cobra.Command{
		Use:   "check",
		Short: "finds duplicates, leaks, and addresses that nobody keeps",
		Long: `check makes the doctor's checks of who has which address: two Pods with one address, IPAddresses of Pods that are gone, IPBlocks of nodes
that are gone, Pods with an address that nobody keeps for them or that lies outside the ranges. With --file it reads what kubectl wrote:

  kubectl get -A -o yaml nodes,pods,net-attach-def,ippools.tsunagu.dev,ipblocks,ipaddresses

Exit code: 0 nothing found; 1 an error was found; 4 warnings and no error; 6 a check could not be made.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			checks, err := choose(addressChecks)
			if err != nil {
				return err
			}
			var s *doctor.Snapshot
			if file != "" {
				var raw *snapshot.Snapshot
				if raw, err = readDump(file); err == nil {
					s = judged(raw)
					s.Time = youngest(s)
				}
			} else {
				s, _, err = a.cluster.snapshot(c.Context(), a.terminal, addressParts...)
			}
			if err != nil {
				return err
			}
			report := doctor.Run(s, checks)
			if err := a.show(a.format, report, func(w io.Writer) { printReport(w, a.terminal, report) }); err != nil {
				return err
			}
			switch worst := report.Worst(); {
			case worst == doctor.Error:
				return verdict(exitFailed)
			case worst == doctor.Warning:
				return verdict(exitWarnings)
			case len(report.Skipped) > 0:
				return verdict(exitUnsettled)
			}
			return nil
		},
	}
	c.Flags().StringVar(&file, "file", "", "check this dump (- is standard input) instead of the cluster")
	return c
}

// youngest is the time of a dump: objects in it are as old as they were then.
func youngest(s *doctor.Snapshot) time.Time {
	last := time.Time{}
	note := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	for _, p := range s.Pods {
		note(p.CreationTimestamp.Time)
		for _, c := range p.Status.Conditions {
			note(c.LastTransitionTime.Time)
		}
	}
	for _, n := range s.Nodes {
		for _, c := range n.Status.Conditions {
			note(c.LastHeartbeatTime.Time)
		}
	}
	for _, o := range s.Addresses {
		note(o.CreationTimestamp.Time)
	}
	if last.IsZero() {
		return s.Time
	}
	return last
}
