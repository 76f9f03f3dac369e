package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// split tells codes from files among the arguments: what is there is a file.
func split(args []string) (codes, files []string) {
	for _, arg := range args {
		_, err := os.Stat(arg)
		if err == nil || strings.ContainsAny(arg, "/.") {
			files = append(files, arg)
		} else {
			codes = append(codes, arg)
		}
	}
	return codes, files
}

// fromFiles reads what somebody sent instead of a cluster.
func (a *app) fromFiles(files []string) (*doctor.Snapshot, []snapshot.Passed, error) {
	p := a.terminal.watch("reading the files")
	defer p.end()
	raw, passed, err := snapshot.FromFiles(files)
	if errors.Is(err, os.ErrNotExist) {
		err = &problem{exitNotFound, err, ""}
	}
	if err != nil {
		return nil, nil, err
	}
	s := judged(raw)
	s.Unread[doctor.Reports] = "files have no agents' reports"
	// A file that is no object may be what a check knows: values of a chart, a CNI configuration.
	if !raw.Something(passed) && len(doctor.Run(s, doctor.Checks()).Findings) == 0 {
		a.terminal.mentionFiles(passed)
		return nil, nil, &problem{exitFailed, fmt.Errorf("look at %s: no object and no log was read", strings.Join(files, ", ")),
			"name what kubectl get -o yaml wrote, manifests or logs, or folders of them"}
	}
	return s, append(passed, withMachines(s, raw, raw, nil)...), nil
}

// mentionFiles says on stderr which files were passed over.
func (t terminal) mentionFiles(passed []snapshot.Passed) {
	for _, p := range passed {
		fmt.Fprintf(t.err, "not read: %s: %s\n", p.File, p.Why)
	}
}
