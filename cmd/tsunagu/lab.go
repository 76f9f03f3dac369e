package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

// lab hands its arguments to tsunagu-lab, which is a program of its own: it
// carries Kubernetes' build list (docs/decisions/0004).
func (a *app) lab() *cobra.Command {
	return &cobra.Command{
		Use:                "lab [up|down|status|exec|kubectl|logs] ...",
		Short:              "a real Kubernetes of several nodes on this machine (Linux, root)",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			beside, err := besideThis("tsunagu-lab")
			if err != nil {
				return err
			}
			return handOver(beside, args)
		},
	}
}

// besideThis is the path of another program in this one's directory.
func besideThis(program string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the directory of this program: %w", err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	return filepath.Join(filepath.Dir(self), program), nil
}

// handOver becomes another program, so signals and the exit code are its own.
func handOver(program string, args []string) error {
	err := syscall.Exec(program, append([]string{program}, args...), os.Environ())
	p := &problem{exitFailed, fmt.Errorf("start %s: %w", program, err), ""}
	if errors.Is(err, os.ErrNotExist) {
		p.cause = fmt.Errorf("%s is not there", program)
		p.hint = "the lab is a program of its own beside this one: build both with `make build`, or install tsunagu-lab into the same directory"
	}
	return p
}
