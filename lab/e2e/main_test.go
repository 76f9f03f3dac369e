// Package e2e proves tsunagu's promises in a real Kubernetes cluster: each
// test says one promise of the README or of an issue, and holds it against a
// lab of three nodes. It owns no code but the tests; what they do to the lab
// is in package drive. Start reading at TestMain.
//
// TSUNAGU_E2E_LAB names a running lab to use instead of one of its own;
// TSUNAGU_E2E_KEEP=1 leaves the lab running for a look;
// TSUNAGU_E2E_CYCLES is how often the scaling tests go up and down.
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/cluster"
	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// lab is the cluster of all tests in this package.
var lab drive.Lab

var nodes = []string{"node1", "node2", "node3"}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	root, err := filepath.Abs("../..")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	lab = drive.Lab{Root: root, Name: os.Getenv("TSUNAGU_E2E_LAB")}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	defer cancel()
	if lab.Name == "" {
		if lab.Name, err = cluster.Scratch("tste"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if os.Getenv("TSUNAGU_E2E_KEEP") == "" {
			defer func() {
				if out, err := lab.Tell(context.Background(), "down"); err != nil {
					fmt.Fprintln(os.Stderr, out, err)
				}
			}()
		}
		say("lab up")
		if out, err := lab.Tell(ctx, "up", "--image", filepath.Join(root, "dist", "tsunagu-image.tar")); err != nil {
			fmt.Fprintln(os.Stderr, out, err)
			return 1
		}
	}
	if err := lab.Install(ctx, say); err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		return 1
	}
	return m.Run()
}

func say(step string) { fmt.Fprintf(os.Stderr, "--- %s %s\n", time.Now().Format("15:04:05"), step) }

// within gives a test its time; running out fails it with the last error.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("after %s", d))
	t.Cleanup(cancel)
	return ctx
}

// must fails the test with what the lab knows of the namespace.
func must(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	events, _ := lab.Kubectl(context.Background(), "get", "events", "-A", "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
	t.Fatalf("%v\nwarning events:\n%s", err, tail(events, 30))
}

func cycles(standard int) int {
	if n, err := strconv.Atoi(os.Getenv("TSUNAGU_E2E_CYCLES")); err == nil && n > 0 {
		return n
	}
	return standard
}
