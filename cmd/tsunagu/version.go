package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/doctor"
)

// versionView is what `version -o json` prints.
type versionView struct {
	Client     string   `json:"client"`
	Go         string   `json:"go"`
	Platform   string   `json:"platform"`
	Kubernetes string   `json:"kubernetes,omitempty"`
	Agents     []string `json:"agents,omitempty"`
}

func (a *app) version() *cobra.Command {
	clientOnly := false
	c := &cobra.Command{
		Use:   "version",
		Short: "versions of this program, the agents and Kubernetes",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := versionView{Client: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			var failed error
			if !clientOnly {
				s, reader, err := a.cluster.snapshot(c.Context(), a.terminal, doctor.Pods)
				if failed = err; err == nil {
					v.Kubernetes, failed = reader.Version(c.Context())
					v.Agents = agentVersions(s)
				}
			}
			if err := a.show(a.format, v, v.print); err != nil {
				return err
			}
			return failed
		},
	}
	c.Flags().BoolVar(&clientOnly, "client", false, "ask no cluster")
	return c
}

func agentVersions(s *doctor.Snapshot) []string {
	var all []string
	for _, p := range s.Agents() {
		if v := doctor.ImageVersion(p); !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return all
}

func (v versionView) print(w io.Writer) {
	fmt.Fprintf(w, "tsunagu     %s (%s, %s)\n", v.Client, v.Go, v.Platform)
	if v.Kubernetes != "" {
		fmt.Fprintf(w, "Kubernetes  %s\n", v.Kubernetes)
	}
	for _, agent := range v.Agents {
		fmt.Fprintf(w, "agents      %s\n", agent)
	}
}
