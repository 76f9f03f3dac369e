package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Start starts a command inside a machine: in its network, mount, host name
// and cgroup namespaces. The caller waits for it.
func (c *Cluster) Start(machine string, cmd *exec.Cmd) error {
	m, err := c.machine(machine)
	if err != nil {
		return err
	}
	return m.Inside(c.host, cmd)
}

// Exec runs a command inside a machine and gives what it wrote to its standard
// output; the error has what it wrote to the other.
func (c *Cluster) Exec(ctx context.Context, machine string, argv ...string) ([]byte, error) {
	var out bytes.Buffer
	err := c.run(ctx, machine, nil, &out, argv...)
	return out.Bytes(), err
}

// Become turns this process into a command inside a machine.
func (c *Cluster) Become(machine string, argv []string) error {
	m, err := c.machine(machine)
	if err != nil {
		return err
	}
	// The host's kubeconfig names a port that only the host can reach.
	os.Unsetenv("KUBECONFIG")
	if n, ok := c.state.node(machine); ok && n.ControlPlane {
		os.Setenv("KUBECONFIG", "/etc/kubernetes/admin.conf")
	}
	os.Setenv("PATH", os.Getenv("PATH")+":"+c.Bin())
	return m.Become(c.host, argv, os.Environ())
}

func (c *Cluster) run(ctx context.Context, machine string, in io.Reader, out io.Writer, argv ...string) error {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &stderr
	if err := c.Start(machine, cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s in %s: %w: %s", argv[0], c.Namespace(machine), err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

func (c *Cluster) script(ctx context.Context, machine, stdin string, argv ...string) error {
	return c.run(ctx, machine, strings.NewReader(stdin), io.Discard, argv...)
}

// Kubectl runs kubectl as the administrator and gives its output.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.Bin(), "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// copyFile keeps the mode, and replaces a file in one step: a program that is
// running can be replaced but not written to.
func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	dst, err := os.OpenFile(to+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, st.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	if err := dst.Close(); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}
