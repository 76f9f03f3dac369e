package delegate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Limits of plugins.
const (
	// Patience is how long a plugin may take, unless Options say otherwise: less than the runtime waits for us.
	Patience = 60 * time.Second
	// mostAtOnce bounds the processes of one plugin. A slow plugin holds up those who use it, and nobody else.
	mostAtOnce = 16
)

// Options are where and how plugins run.
type Options struct {
	// Root is the node's root as this process sees it: plugins find their files and programs there. "" is this process's own.
	Root string
	// Dirs are the folders of plugins, as the node sees them.
	Dirs []string
	// Node is the node's network namespace, nil for the one of this process.
	Node *netns.Namespace
	// Patience is how long one execution may take; 0 is Patience.
	Patience time.Duration
}

// Runner executes plugins. It is safe for use by many goroutines.
type Runner struct {
	Options
	mu     sync.Mutex
	places map[string]chan struct{}
}

// New makes a Runner.
func New(o Options) *Runner {
	if o.Patience == 0 {
		o.Patience = Patience
	}
	return &Runner{Options: o, places: map[string]chan struct{}{}}
}

// Add executes a plugin that makes or changes an interface, and gives its result in the newest version.
func (r *Runner) Add(ctx context.Context, c Call) (*types100.Result, error) {
	out, err := r.run(ctx, "ADD", c)
	if err != nil {
		return nil, err
	}
	return c.readResult(out)
}

// Del has a plugin take back what it did. A plugin must take that as often as it is told.
func (r *Runner) Del(ctx context.Context, c Call) error {
	_, err := r.run(ctx, "DEL", c)
	return err
}

// Check asks a plugin whether its work is as it was. Versions before 0.4.0 know no CHECK: then it is fine.
func (r *Runner) Check(ctx context.Context, c Call) error {
	if !atLeast(c.Version, "0.4.0") {
		return nil
	}
	_, err := r.run(ctx, "CHECK", c)
	return err
}

// Status asks a plugin whether it could do an ADD; versions before 1.1.0 know no STATUS.
func (r *Runner) Status(ctx context.Context, c Call) error {
	if !atLeast(c.Version, "1.1.0") {
		return nil
	}
	_, err := r.run(ctx, "STATUS", c)
	return err
}

// Attachment is an interface that there is.
type Attachment struct {
	ContainerID string `json:"containerID"`
	IfName      string `json:"ifname"`
}

// GC tells a plugin which interfaces there are of its network, for it to take away all others; versions before 1.1.0 know no GC.
func (r *Runner) GC(ctx context.Context, c Call, valid []Attachment) error {
	if !atLeast(c.Version, "1.1.0") {
		return nil
	}
	if valid == nil {
		valid = []Attachment{}
	}
	c.valid = valid
	_, err := r.run(ctx, "GC", c)
	return err
}

// run executes a plugin and gives what it printed.
func (r *Runner) run(ctx context.Context, verb string, c Call) ([]byte, error) {
	path, err := r.find(c)
	if err != nil {
		return nil, err
	}
	input, err := c.input(verb)
	if err != nil {
		return nil, err
	}
	release, err := r.place(ctx, c.Type)
	if err != nil {
		return nil, fmt.Errorf("wait for plugin %s: %w", c.Type, err)
	}
	defer release()
	limited, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	done, err := r.execute(limited, path, input, c.environment(verb, r.Dirs))
	if err == nil && done.code == 0 {
		return done.stdout, nil
	}
	failed := &Failed{Plugin: c.Type, Verb: verb, Stderr: done.stderr, Cause: err}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("plugin %s, %s: %w", c.Type, verb, context.Cause(ctx))
	case limited.Err() != nil:
		failed.Late = r.Patience
	case err == nil:
		failed.read(done)
	}
	return nil, failed
}

// find looks for the plugin's binary and gives its path below Root.
func (r *Runner) find(c Call) (string, error) {
	if c.Type == "" || strings.ContainsRune(c.Type, '/') || c.Type == "." || c.Type == ".." {
		return "", &Missing{Plugin: c.Type}
	}
	dirs := c.dirs(r.Dirs)
	for _, dir := range dirs {
		path := filepath.Join(dir, c.Type)
		info, err := os.Stat(filepath.Join(r.Root, path))
		if err != nil && r.Root != "" {
			info, err = r.follow(path)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || err == nil && (info.IsDir() || info.Mode().Perm()&0o111 == 0) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look for plugin %s: %w", path, err)
		}
		return path, nil
	}
	return "", &Missing{Plugin: c.Type, Dirs: dirs}
}

// follow looks at a file below Root that is an absolute link.
func (r *Runner) follow(path string) (fs.FileInfo, error) {
	for range 8 {
		to, err := os.Readlink(filepath.Join(r.Root, path))
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return os.Stat(filepath.Join(r.Root, path))
}

// place waits until few enough processes of a plugin run.
func (r *Runner) place(ctx context.Context, typ string) (release func(), err error) {
	r.mu.Lock()
	places, ok := r.places[typ]
	if !ok {
		places = make(chan struct{}, mostAtOnce)
		r.places[typ] = places
	}
	r.mu.Unlock()
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Versions asks a plugin which versions of CNI it speaks.
func (r *Runner) Versions(ctx context.Context, typ string) ([]string, error) {
	out, err := r.run(ctx, "VERSION", Call{Type: typ, Version: "1.0.0", Name: "version", Config: json.RawMessage("{}")})
	if err != nil {
		return nil, err
	}
	info, err := (&version.PluginDecoder{}).Decode(out)
	if err != nil {
		return nil, &Nonsense{Plugin: typ, Why: err.Error(), Output: excerpt(out)}
	}
	return info.SupportedVersions(), nil
}

func atLeast(have, want string) bool {
	ok, err := version.GreaterThanOrEqualTo(have, want)
	return err == nil && ok
}

// environ makes the variables of the environment, as libcni does.
func environ(a invoke.Args) []string {
	all := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, one := range a.AsEnv() {
		if strings.HasPrefix(one, "CNI_") {
			all = append(all, one)
		}
	}
	return all
}
