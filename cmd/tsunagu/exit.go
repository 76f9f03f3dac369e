package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// Exit codes, documented in docs/exit-codes.md. A code never changes its
// meaning.
const (
	exitOK          = 0
	exitFailed      = 1 // the command failed, or the doctor found an error
	exitUsage       = 2 // the command line is not understood
	exitUnreachable = 3 // no cluster is configured, or none answers
	exitWarnings    = 4 // the doctor found warnings and nothing worse
	exitNotFound    = 5 // what was named does not exist
	exitUnsettled   = 6 // done, and something is left for people: duplicates, what could not be taken over
)

// problem is an error for people: what went wrong, what to do about it, and
// the exit code.
type problem struct {
	code  int
	cause error
	hint  string
}

func (p *problem) Error() string { return p.cause.Error() }
func (p *problem) Unwrap() error { return p.cause }

// usage is a command line that is not understood.
func usage(hint, format string, args ...any) error {
	return &problem{exitUsage, fmt.Errorf(format, args...), hint}
}

// notFound is a name that stands for nothing.
func notFound(hint, format string, args ...any) error {
	return &problem{exitNotFound, fmt.Errorf(format, args...), hint}
}

// verdict ends a command that did its work with a code of its own.
type verdict int

func (verdict) Error() string { return "" }

// report says an error on stderr and returns the exit code for it.
func (t terminal) report(name string, err error) int {
	var own *problem
	var said verdict
	var unreachable snapshot.Unreachable
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &said):
		return int(said)
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(t.err, "%s: interrupted\n", name)
		return exitFailed
	case errors.As(err, &own):
		t.complain(name, own.cause, own.hint)
		return own.code
	case errors.As(err, &unreachable):
		t.complain(name, err, hintFor(unreachable.Cause))
		return exitUnreachable
	case isUsage(err):
		t.complain(name, err, fmt.Sprintf("%s --help lists commands and flags", name))
		return exitUsage
	}
	t.complain(name, err, "")
	return exitFailed
}

func (t terminal) complain(name string, err error, hint string) {
	fmt.Fprintf(t.err, "%s: %v\n", name, err)
	if hint != "" {
		fmt.Fprintf(t.err, "hint: %s\n", hint)
	}
}

// isUsage recognises cobra's own errors, which have no type.
func isUsage(err error) bool {
	for _, start := range []string{"unknown command", "unknown flag", "unknown shorthand", "flag needs", "invalid argument", "accepts ", "requires ", "bad flag"} {
		if strings.HasPrefix(err.Error(), start) {
			return true
		}
	}
	return false
}

// hintFor says what to do about an API server that does not answer.
func hintFor(cause error) string {
	text := cause.Error()
	switch {
	case strings.Contains(text, "connection refused"):
		return "nothing listens there: is the cluster running? For a lab: tsunagu lab status"
	case strings.Contains(text, "no such host"):
		return "the name does not resolve: is the kubeconfig of another place? --context chooses a cluster"
	case strings.Contains(text, "x509"):
		return "the certificate does not fit: the kubeconfig is of another cluster, or of an earlier one at this address"
	case apierrors.IsUnauthorized(cause) || strings.Contains(text, "credentials"):
		return "the API server does not know you: renew the credentials of the kubeconfig"
	case strings.Contains(text, "context deadline exceeded") || strings.Contains(text, "i/o timeout") || strings.Contains(text, "no route to host") || strings.Contains(text, "Client.Timeout"):
		return "no answer: check the way to that address, or the proxy settings; --timeout gives it longer"
	}
	return "--kubeconfig and --context choose a cluster"
}
