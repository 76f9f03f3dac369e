// Package build turns the pinned Go modules beside it into the programs a
// lab's machines run. Finished programs are kept outside the source tree under
// a key of everything that went into them, so a second lab builds nothing. It
// knows nothing of labs. Start at Build.
package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Version of Kubernetes the programs say they are; it is the version required
// in kubernetes/go.mod, and a test compares the two.
const Version = "v1.37.2"

// Set is a group of programs built from one module in one go.
type Set struct {
	Name     string
	Module   string   // directory below the lab's source
	Packages []string // what to build
	LDFlags  string
	// Links are further names of programs, by file.
	Links map[string][]string
}

// Sets is all that a lab needs.
var Sets = []Set{
	{
		Name:     "kubernetes",
		Module:   "kubernetes",
		Packages: []string{"./cmd/labkube", "k8s.io/kubernetes/test/images/agnhost"},
		// Without these a kubelet says it is v0.0.0 and half of the version
		// comparisons in the field go wrong.
		LDFlags: versionFlags("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
		Links: map[string][]string{"labkube": {
			"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"}},
	},
	{Name: "coredns", Module: "coredns", Packages: []string{"."}},
}

func versionFlags(packages ...string) string {
	var b strings.Builder
	parts := strings.Split(strings.TrimPrefix(Version, "v"), ".")
	for _, p := range packages {
		fmt.Fprintf(&b, " -X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s -X %s.gitTreeState=clean",
			p, Version, p, parts[0], p, parts[1], p)
	}
	return b.String()
}

// Cache is the directory of finished things: $XDG_CACHE_HOME/tsunagu/lab.
func Cache() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a cache directory (set XDG_CACHE_HOME): %w", err)
	}
	return filepath.Join(base, "tsunagu", "lab"), nil
}

// Key changes whenever the programs of a set could.
func (s Set) Key(source, goVersion string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, goVersion, runtime.GOARCH, s.LDFlags, s.Packages, s.Links)
	dir := filepath.Join(source, s.Module)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := d.Name()
		if strings.HasSuffix(name, "_test.go") || !(strings.HasSuffix(name, ".go") || name == "go.mod" || name == "go.sum") {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		fmt.Fprintf(h, "%s %d\n", rel, len(b))
		h.Write(b)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("reading the sources of %s: %w", s.Name, err)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// Build gives the directory that holds the set's programs, building them when
// the cache has not got them.
func (s Set) Build(ctx context.Context, source string) (string, error) {
	version, err := goVersion(ctx)
	if err != nil {
		return "", err
	}
	key, err := s.Key(source, version)
	if err != nil {
		return "", err
	}
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, s.Name+"-"+key)
	if _, err := os.Stat(dir); err == nil {
		touch(dir)
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// One builder at a time: two labs started together share the result.
	lock, err := os.OpenFile(filepath.Join(cache, s.Name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	unfinished := dir + ".building"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := s.compile(ctx, source, unfinished); err != nil {
		return "", err
	}
	if err := os.Rename(unfinished, dir); err != nil {
		return "", err
	}
	prune(cache, s.Name+"-", dir)
	return dir, nil
}

// unusedFor is when a finished thing of another key may go.
const unusedFor = 30 * 24 * time.Hour

// prune removes what earlier sources left in the cache. A use touches a thing,
// so that a lab that is still up keeps its programs.
func prune(cache, prefix, keep string) {
	entries, _ := os.ReadDir(cache)
	for _, e := range entries {
		p := filepath.Join(cache, e.Name())
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), prefix) && p != keep && time.Since(info.ModTime()) > unusedFor {
			_ = os.RemoveAll(p)
		}
	}
}

// touch says that a thing is used.
func touch(path string) {
	now := time.Now()
	_ = os.Chtimes(path, now, now)
}

func (s Set) compile(ctx context.Context, source, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w" + s.LDFlags, "-o", out + "/"}, s.Packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(source, s.Module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
	// A lab that is killed while it builds must not leave a compiler behind.
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s in %s: %w\n%s", s.Name, cmd.Dir, err, tail(stderr.String(), 20))
	}
	for file, names := range s.Links {
		for _, n := range names {
			if err := os.Symlink(file, filepath.Join(out, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

func goVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for its version (Go must be installed and in PATH to build the lab's programs): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
