package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
	"github.com/tsunagu-net/tsunagu/near"
)

// checkView is what `doctor --list -o json` prints of a check.
type checkView struct {
	Code    string `json:"code"`
	Title   string `json:"title"`
	Explain string `json:"explain"`
}

func (a *app) doctor() *cobra.Command {
	var list bool
	var files []string
	var management string
	c := &cobra.Command{
		Use:   "doctor [CODE...] [FILE|DIRECTORY...]",
		Short: "says what is wrong, what it breaks and what to do",
		Long: `doctor reads the cluster once and makes every check over what it read, or only those of the named codes.

Of files and directories (named, or with --file) it reads what kubectl get -o yaml or json wrote, manifests, and logs, also packed (.gz);
what it cannot read it names, and goes on.

Exit code: 0 nothing found, or only remarks (info); 1 an error was found; 4 warnings and no error.`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var codes []string
			for _, c := range doctor.Checks() {
				codes = append(codes, c.Code+"\t"+c.Title)
			}
			return codes, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			codes, named := split(args)
			checks, err := choose(codes)
			if err != nil {
				return err
			}
			if list {
				return a.listChecks(checks)
			}
			s, passed, err := a.patient(c.Context(), append(files, named...), management)
			if err != nil {
				return err
			}
			report := reportView{Report: doctor.Run(s, checks), Passed: passed}
			a.terminal.mentionFiles(passed)
			if err := a.show(a.format, report, func(w io.Writer) { printReport(w, a.terminal, report.Report) }); err != nil {
				return err
			}
			switch report.Worst() {
			case doctor.Error:
				return verdict(exitFailed)
			case doctor.Warning:
				return verdict(exitWarnings)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&list, "list", false, "explain the checks instead of making them")
	c.Flags().StringSliceVarP(&files, "file", "f", nil, "look at these files and directories instead of the cluster; may be given again")
	c.Flags().StringVar(&management, "management-kubeconfig", "", "kubeconfig of the cluster that has the Machines, when it is another")
	c.AddCommand(a.scaleUp(), a.explainChecks())
	return c
}

// reportView is what `doctor -o json` prints.
type reportView struct {
	doctor.Report
	// Passed are the files that could not be read, or not whole.
	Passed []snapshot.Passed `json:"passed,omitempty"`
}

// patient is who is looked at: the cluster, and the one that has its Machines, or files.
func (a *app) patient(ctx context.Context, files []string, management string) (*doctor.Snapshot, []snapshot.Passed, error) {
	if len(files) > 0 && management != "" {
		return nil, nil, usage("put dumps of both clusters into --file", "--management-kubeconfig: files are looked at, and no cluster")
	}
	if len(files) > 0 {
		return a.fromFiles(files)
	}
	s, reader, err := a.cluster.snapshot(ctx, a.terminal)
	if err != nil {
		return nil, nil, err
	}
	a.askAgents(ctx, reader, s)
	machines := reader
	if management != "" {
		if machines, err = a.managing(management); err != nil {
			return nil, nil, err
		}
	}
	passed, err := a.around(ctx, reader, machines, s)
	return s, passed, err
}

func (a *app) explainChecks() *cobra.Command {
	return &cobra.Command{
		Use: "explain CODE...", Short: "says why a finding matters and how one gets there", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, codes []string) error {
			checks, err := choose(codes)
			if err != nil {
				return err
			}
			return a.listChecks(checks)
		},
	}
}

// choose returns the checks of the named codes, all without a name.
func choose(codes []string) ([]doctor.Check, error) {
	all := doctor.Checks()
	if len(codes) == 0 {
		return all, nil
	}
	var chosen []doctor.Check
	for _, code := range codes {
		found := false
		for _, c := range all {
			if strings.EqualFold(c.Code, code) {
				chosen, found = append(chosen, c), true
			}
		}
		if !found {
			hint := "tsunagu doctor --list lists them"
			names := make([]string, len(all))
			for i, c := range all {
				names[i] = c.Code
			}
			if meant := near.Names(strings.ToUpper(code), names); len(meant) > 0 {
				hint = "did you mean " + strings.Join(meant, " or ") + "? " + hint
			}
			return nil, notFound(hint, "there is no check %s", code)
		}
	}
	return chosen, nil
}

func (a *app) listChecks(checks []doctor.Check) error {
	v := make([]checkView, len(checks))
	for i, c := range checks {
		v[i] = checkView{c.Code, c.Title, c.Explain}
	}
	return a.show(a.format, v, func(w io.Writer) {
		for i, c := range v {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "%s  %s\n", c.Code, a.bold(c.Title))
			fmt.Fprint(w, wrap("         ", c.Explain, a.textWidth()))
		}
	})
}

// textWidth is how wide running text is set: as the terminal, and never so
// wide that it is hard to read.
func (t terminal) textWidth() int {
	if w := t.width(); w > 0 && w < 100 {
		return w
	}
	return 100
}

func printReport(w io.Writer, t terminal, r doctor.Report) {
	for _, f := range r.Findings {
		indent := ""
		if f.CausedBy != nil {
			indent = "  "
		}
		fmt.Fprintf(w, "%s%s  %s  %s\n", indent, t.paint(severityColour(f.Severity), fmt.Sprintf("%-7s", f.Severity)), f.Code, t.bold(f.Object.String()))
		for _, part := range []struct{ label, text string }{
			{"cause   ", f.Cause}, {"breaks  ", f.Breaks}, {"fix     ", f.Fix},
		} {
			fmt.Fprint(w, wrap(indent+"  "+part.label, part.text, t.textWidth()))
		}
		if f.CausedBy != nil {
			fmt.Fprintf(w, "%s  %s%s, %s\n", indent, "follows from ", f.CausedBy.Code, f.CausedBy.Object)
		}
		fmt.Fprintln(w)
	}
	skipped := map[string][]string{} // by what is lacking: one right that is missing leaves out many checks
	for _, s := range r.Skipped {
		skipped[s.Why] = append(skipped[s.Why], s.Code)
	}
	for _, why := range sortedKeys(skipped) {
		fmt.Fprint(w, wrap("not checked: ", strings.Join(skipped[why], ", ")+" ("+why+")", t.textWidth()))
	}
	fmt.Fprintf(w, "%d checks made, %d left out: %s, %s, %s\n", r.Checks, len(r.Skipped), count(r.Count(doctor.Error), "error"),
		count(r.Count(doctor.Warning), "warning"), count(r.Count(doctor.Info), "remark"))
}

func severityColour(s doctor.Severity) string {
	switch s {
	case doctor.Error:
		return "31"
	case doctor.Warning:
		return "33"
	}
	return "36"
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
