package iptables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Filter is the table of that name, of one family.
type Filter struct {
	// Root is the node's root as this process sees it; "" is this process's own. The node's programs are used: they know which of the kernel's two
	// filters the node has its rules in.
	Root string
	// NS is nil for the namespace of this process.
	NS   *netns.Namespace
	IPv6 bool
}

// Missing tells that the node has no iptables.
type Missing struct {
	Program string
	Dirs    []string
}

func (e Missing) Error() string {
	return fmt.Sprintf("the node has no %s in %s", e.Program, strings.Join(e.Dirs, ", "))
}

// patience is how long iptables may wait for other programs that change rules.
const patience = 10 * time.Second

var dirs = []string{"/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin"}

// Rules are the table as iptables-save prints it: chains (":NAME …") and rules ("-A NAME …").
func (f Filter) Rules(ctx context.Context) ([]string, error) {
	out, err := f.run(ctx, "save", nil, "-t", "filter")
	if err != nil {
		return nil, fmt.Errorf("read the rules of iptables: %w", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n"), nil
}

// Apply carries out commands of iptables ("-N …", "-A …", "-I …", "-D …") in one transaction: all of them or none.
func (f Filter) Apply(ctx context.Context, commands ...string) error {
	if len(commands) == 0 {
		return nil
	}
	in := "*filter\n" + strings.Join(commands, "\n") + "\nCOMMIT\n"
	if _, err := f.run(ctx, "restore", []byte(in), "--noflush", "--wait"); err != nil {
		return fmt.Errorf("change the rules of iptables: %w", err)
	}
	return nil
}

// HasChain tells whether the rules have a chain.
func HasChain(rules []string, name string) bool {
	return slices.ContainsFunc(rules, func(r string) bool { return strings.HasPrefix(r, ":"+name+" ") })
}

func (f Filter) run(ctx context.Context, what string, in []byte, args ...string) ([]byte, error) {
	name := "iptables-" + what
	if f.IPv6 {
		name = "ip6tables-" + what
	}
	path, err := f.find(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"PATH=" + strings.Join(dirs, ":")}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(in)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if f.Root != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: f.Root}
	}
	start := cmd.Run
	if f.NS != nil {
		start = func() error { return f.NS.Do(cmd.Run) }
	}
	if err := start(); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: it did not end within %s: another program may hold /run/xtables.lock", name, patience)
		}
		return nil, fmt.Errorf("%s: %w: %s", name, err, strings.Join(strings.Fields(said.String()), " "))
	}
	return out.Bytes(), nil
}

// find is the program's path below Root. Links on the node may lead anywhere in it, so only the name is looked for.
func (f Filter) find(name string) (string, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(filepath.Join(f.Root, path)); err == nil {
			return path, nil
		} else if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return "", fmt.Errorf("look for %s: %w", name, err)
		}
	}
	return "", Missing{name, dirs}
}
