package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/doctor/multus"
)

// multusView is what a Multus configuration means.
type multusView struct {
	// Args are flags of tsunagu-agent.
	Args  []string     `json:"args"`
	Notes []multusNote `json:"notes"`
}

type multusNote struct {
	Key  string `json:"key"`
	Lost bool   `json:"lost"`
	Text string `json:"text"`
}

// networkFromMultus says what to install tsunagu with.
func (a *app) networkFromMultus() *cobra.Command {
	return &cobra.Command{
		Use:   "from-multus FILE",
		Short: "what a configuration of Multus means here, as values for helm install",
		Long: `from-multus reads the configuration of Multus, which is /etc/cni/net.d/00-multus.conf of a node or daemon-config.json of the
ConfigMap multus-daemon-config ("-" reads the standard input), and prints values for helm install. What is done without being told, or
has no equivalent, is said in comments. The exit code is 6 when something has none.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := readInput(args[0], c.InOrStdin())
			if err != nil {
				return usage("name a file, or - for the standard input", "%v", err)
			}
			conf, err := multus.Parse(text)
			if err != nil {
				return usage("give 00-multus.conf of a node, or daemon-config.json", "%v", err)
			}
			v := multusView{Args: append([]string{}, conf.Args...), Notes: []multusNote{}}
			lost := 0
			for _, n := range conf.Notes {
				v.Notes = append(v.Notes, multusNote(n))
				if n.Lost {
					lost++
				}
			}
			if err := a.show(a.format, v, func(w io.Writer) { printMultus(w, v) }); err != nil || lost == 0 {
				return err
			}
			return verdict(exitUnsettled)
		},
	}
}

func readInput(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

func printMultus(w io.Writer, v multusView) {
	for _, n := range v.Notes {
		state := ""
		if n.Lost {
			state = " has no equivalent:"
		}
		fmt.Fprintf(w, "# %s:%s %s\n", n.Key, state, n.Text)
	}
	values := map[string][]string{}
	for _, arg := range v.Args {
		name, value, _ := strings.Cut(arg, "=")
		switch name { // the chart has values of their own for these
		case "--pod-network":
			values[""] = append(values[""], "podNetwork: "+value)
		case "--cni-bin-dir":
			values["cni"] = append(values["cni"], "  binDir: "+value)
		case "--cni-conf-dir":
			values["cni"] = append(values["cni"], "  confDir: "+value)
		default:
			values["agent"] = append(values["agent"], "  - "+arg)
		}
	}
	for _, part := range []struct{ head, key string }{{"", ""}, {"cni:", "cni"}, {"agent:\n  args:", "agent"}} {
		if lines := values[part.key]; len(lines) > 0 {
			fmt.Fprintln(w, strings.TrimPrefix(part.head+"\n"+strings.Join(lines, "\n"), "\n"))
		}
	}
}
