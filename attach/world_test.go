package attach

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/chained"
	"github.com/tsunagu-net/tsunagu/attach/delegate"
	"github.com/tsunagu-net/tsunagu/attach/dhcp"
	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/reference"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/kernel/clock"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// shimBinary is tsunagu-cni as it is shipped.
var shimBinary string

func TestMain(m *testing.M) {
	if os.Getenv(agentProcess) != "" {
		runAgentProcess()
		return
	}
	if name, fake := strings.CutPrefix(filepath.Base(os.Args[0]), "tstplug-"); fake {
		os.Exit(fakePlugin(name))
	}
	forsaken()
	dir, err := os.MkdirTemp("", "tst-attach-")
	if err == nil {
		shimBinary = filepath.Join(dir, "tsunagu-cni")
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", shimBinary, "../cmd/tsunagu-cni")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the shim:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// forsaken removes the namespaces of a test run that was killed: an agent that lost its logs would find the sandboxes in them.
func forsaken() {
	left, _ := filepath.Glob("/run/netns/tst-att-*")
	for _, path := range left {
		name := filepath.Base(path)
		pid, _, _ := strings.Cut(strings.TrimPrefix(name, "tst-att-"), "-")
		if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
			netns.Delete(name)
		}
	}
}

// cluster is a fake of what kube knows.
type cluster struct {
	mu          sync.Mutex
	pods        map[string]Pod
	definitions map[string]Definition
	pools       map[string]ipam.Pool
	down        bool
	// hold keeps ADDs waiting for their Pod; asked tells which.
	hold     chan struct{}
	asked    chan string
	events   []string
	statuses map[string]string
	// edited is closed at an edit of a Pod or a namespace; live are namespaces with LiveMark.
	edited chan struct{}
	live   map[string]bool
}

func newCluster() *cluster {
	return &cluster{pods: map[string]Pod{}, definitions: map[string]Definition{}, pools: map[string]ipam.Pool{}, statuses: map[string]string{},
		asked: make(chan string, 100), edited: make(chan struct{}), live: map[string]bool{}}
}

func (c *cluster) Here() ([]Pod, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.pods)), true
}

func (c *cluster) Live(namespace string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live[namespace]
}

func (c *cluster) Changed() (pods, namespaces <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.edited, c.edited
}

// edit changes something and tells who follows.
func (c *cluster) edit(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.edited)
	c.edited = make(chan struct{})
}

func (c *cluster) Pod(ctx context.Context, namespace, name, uid string) (Pod, error) {
	if c.hold != nil {
		c.asked <- name
		select {
		case <-c.hold:
		case <-ctx.Done():
			return Pod{}, context.Cause(ctx)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, ok := c.pods[namespace+"/"+name]
	switch {
	case ok && pod.Is(uid):
		return pod, nil
	case c.down:
		return Pod{}, fmt.Errorf("read pod %s/%s: %w", namespace, name, ErrUnavailable)
	}
	return Pod{}, fmt.Errorf("pod %s/%s: %w", namespace, name, ErrNotFound)
}

func (c *cluster) Known() (map[string]bool, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	uids := map[string]bool{}
	for _, pod := range c.pods {
		uids[pod.UID] = true
	}
	return uids, !c.down
}

func (c *cluster) Definition(_ context.Context, namespace, name string) (Definition, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.definitions[namespace+"/"+name]; ok {
		return d, nil
	}
	if c.down {
		return Definition{}, ErrUnavailable
	}
	return Definition{}, ErrNotFound
}

func (c *cluster) All() []Definition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.definitions))
}

func (c *cluster) Pool(_ context.Context, name string) (ipam.Pool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.pools[name]; ok {
		return p, nil
	}
	return ipam.Pool{}, ErrNotFound
}

func (c *cluster) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.pools))
}

// ClaimNames are those that nobody has when a Pod names another.
func (c *cluster) ClaimNames(context.Context, string) ([]string, error) {
	return []string{"web-vm", "other"}, nil
}

func (c *cluster) Warn(pod Pod, reason, message string) { c.event("Warning", pod, reason, message) }
func (c *cluster) Note(pod Pod, reason, message string) { c.event("Normal", pod, reason, message) }

func (c *cluster) event(kind string, pod Pod, reason, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, fmt.Sprintf("%s %s %s: %s", kind, pod, reason, message))
}

// told waits for an event that has all the words.
func (c *cluster) told(t testing.TB, words ...string) string {
	t.Helper()
	var all []string
	for range 200 {
		c.mu.Lock()
		all = slices.Clone(c.events)
		c.mu.Unlock()
		for _, e := range all {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(e, w) }) {
				return e
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("no event with %q in %q", words, all)
	return ""
}

func (c *cluster) Report(_ context.Context, pod Pod, status string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return ErrUnavailable
	}
	c.statuses[pod.String()] = status
	return nil
}

func (c *cluster) status(t testing.TB, pod string) string {
	t.Helper()
	for range 400 {
		c.mu.Lock()
		s := c.statuses[pod]
		c.mu.Unlock()
		if s != "" {
			return s
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("pod %s has no network-status", pod)
	return ""
}

// testPorts remembers what it was told.
type testPorts struct {
	mu  sync.Mutex
	has map[string]hostport.Sandbox
}

func (p *testPorts) Set(_ context.Context, s hostport.Sandbox) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.has {
		for _, m := range other.Mappings {
			if other.ID != s.ID && slices.Contains(s.Mappings, m) {
				return hostport.Conflict{Mapping: m, Holder: other.Name, HolderID: other.ID}
			}
		}
	}
	p.has[s.ID] = s
	return nil
}

func (p *testPorts) Delete(_ context.Context, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.has, id)
	return nil
}

func (p *testPorts) Sync(_ context.Context, all []hostport.Sandbox) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.has)
	for _, s := range all {
		p.has[s.ID] = s
	}
	return nil
}

type testMeter struct {
	mu     sync.Mutex
	stages map[string][]time.Duration
}

func (m *testMeter) Verb(verb, outcome string, took time.Duration) {
	m.Stage(verb, cmp.Or(map[bool]string{true: "all"}[outcome == "ok"], "refused"), took)
}

func (m *testMeter) Stage(verb, stage string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stages[verb+" "+stage] = append(m.stages[verb+" "+stage], took)
}

func (m *testMeter) Stranger(_, outcome string) { m.Stage("stranger", outcome, 0) }

// report gives the median of each stage.
func (m *testMeter) report() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.stages)) {
		all := slices.Sorted(slices.Values(m.stages[name]))
		fmt.Fprintf(&b, "%-14s %5d × p50 %v p99 %v\n", name, len(all), all[len(all)/2], all[len(all)*99/100])
	}
	return b.String()
}

// testNetwork is the pod network of the test's node.
type testNetwork struct{ prefixes []string }

func (n testNetwork) Pools() []ipam.Pool {
	var pools []ipam.Pool
	for _, text := range n.prefixes {
		prefix := netip.MustParsePrefix(text)
		pools = append(pools, ipam.LocalPool(ipam.PoolName(ipam.PodDomain, prefix), prefix))
	}
	return pools
}
func (testNetwork) MTU() int { return 1450 }
func (testNetwork) Prefixes() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("fd00:244::/48")}
}

// node is a machine with the agent's part of attaching, an uplink up1, and sandboxes.
type node struct {
	testing.TB
	*cluster
	name, dir string
	ns        *netns.Namespace
	conn      *link.Conn

	store                    *iptest.Store
	addresses, notes, leases iptest.Disk
	keeper                   *dhcp.Keeper
	ports                    *testPorts
	meter                    *testMeter
	lacks                    []string
	lost                     bool // a log was lost
	own                      Primary
	crash                    *crash

	wirer     *kind.Wirer
	allocator *ipam.Allocator
	server    *Server
	stop      func()
	sandboxes int
}

// newNode makes a node whose agent runs.
func newNode(t testing.TB) *node {
	t.Helper()
	n := newMachine(t)
	n.boot()
	t.Cleanup(func() { n.stop() })
	return n
}

// newMachine makes a node without an agent.
func newMachine(t testing.TB) *node {
	t.Helper()
	n := &node{TB: t, cluster: newCluster(), store: iptest.NewStore(), ports: &testPorts{has: map[string]hostport.Sandbox{}},
		meter: &testMeter{stages: map[string][]time.Duration{}}}
	n.name = fmt.Sprintf("tst-att-%d-%x", os.Getpid(), time.Now().UnixNano()&0xffffff)
	n.dir = t.TempDir()
	n.ns = n.namespace(n.name)
	var err error
	n.conn, err = link.Dial(n.ns)
	n.must(err)
	t.Cleanup(func() { n.conn.Close() })
	outside := n.namespace(n.name + "-out")
	n.must(n.conn.Apply(link.NewVeth(link.End{Name: "up1"}, link.End{Name: "wire", NS: outside}), link.Up("lo", 1)))
	return n
}

func (n *node) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

func (n *node) namespace(name string) *netns.Namespace {
	n.Helper()
	ns, err := netns.Create(name)
	n.must(err)
	n.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			n.Error(err)
		}
	})
	return ns
}

func (n *node) socket() string { return filepath.Join(n.dir, "cni.sock") }

// boot starts the agent's part.
func (n *node) boot() {
	n.Helper()
	log := slog.New(slog.NewTextHandler(n.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	n.wirer, err = kind.New(n.ns.Path(), log)
	n.must(err)
	n.allocator, err = ipam.New(ipam.Options{Node: "node", NodeUID: "node-uid", Store: n.store.As("node"), Log: n.addresses.Boot(), Logger: log})
	n.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	leases, err := dhcp.New(dhcp.Options{Open: dhcp.OpenLine, Log: n.leases.Boot(), Now: clock.Boot, InUse: dhcp.InUse, Logger: log})
	n.must(err)
	n.keeper = leases
	n.server, err = New(Config{
		Leases:  leases,
		Primary: n.own, Files: []string{n.dir + "/net.d"},
		Devices:   given{},
		Chained:   &chained.Runner{Node: n.ns},
		Delegates: delegate.New(delegate.Options{Dirs: []string{n.dir + "/bin", reference.Debian}, Node: n.ns, Patience: 4 * time.Second}),
		Pods:      n.cluster, Definitions: n.cluster, Pools: n.cluster, PodNetwork: testNetwork{[]string{"10.244.1.0/24", "fd00:244:0:1::/64"}},
		Addresses: n.allocator, Claims: n.cluster, Wirer: n.wirer, Ports: n.ports, Events: n.cluster, Statuses: n.cluster, Meter: n.meter, Log: log,
		Wishes:  n.cluster,
		Records: n.crash.log(n.notes.Boot()), Incomplete: n.lost, Lacks: func() []string { return n.lacks },
	})
	n.must(err)
	n.must(n.server.Recover(ctx, n.lost))
	running.Go(func() { _ = n.allocator.Run(ctx) })
	n.must(n.server.Start(ctx))
	l, err := Listen(n.socket())
	n.must(err)
	running.Go(func() { _ = leases.Run(ctx, n.server) })
	running.Go(func() { _ = n.server.Live(ctx) })
	running.Go(func() {
		if err := n.server.Serve(ctx, l); err != nil {
			n.Error(err)
		}
	})
	n.stop = sync.OnceFunc(func() {
		cancel()
		n.server.reports.stop()
		n.server.ahead.tasks.Wait()
		running.Wait()
		n.must(n.wirer.Close())
	})
}

// pod makes a Pod that selects networks, and an empty sandbox for it.
func (n *node) pod(name, networks string) *sandbox {
	n.Helper()
	n.sandboxes++
	p := Pod{Namespace: "default", Name: name, UID: fmt.Sprintf("uid-%s-%d", name, n.sandboxes), Networks: networks}
	n.mu.Lock()
	n.pods[p.String()] = p
	n.mu.Unlock()
	return n.sandbox(p)
}

// sandbox makes an empty sandbox for a Pod.
func (n *node) sandbox(p Pod) *sandbox {
	n.Helper()
	n.sandboxes++
	id := fmt.Sprintf("%s-%d-c0ffee", n.name, n.sandboxes)
	return &sandbox{node: n, pod: p, id: id, ns: n.namespace(id), version: "1.0.0"}
}

// sandbox is a container sandbox as a runtime has it.
type sandbox struct {
	*node
	pod     Pod
	id      string
	ns      *netns.Namespace
	version string
	runtime string // runtimeConfig
}

// reply is what the shim printed.
type reply struct {
	code   int
	output string
	took   time.Duration
}

// failure reads the reply as a CNI error.
func (r reply) failure(t testing.TB) (e struct {
	CNIVersion, Msg, Details string
	Code                     int
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.output), &e); err != nil || r.code == 0 {
		t.Fatalf("exit %d, %v; want a CNI error, have %q", r.code, err, r.output)
	}
	return e
}

func (s *sandbox) env(verb string) map[string]string {
	return map[string]string{
		"CNI_COMMAND": verb, "CNI_CONTAINERID": s.id, "CNI_NETNS": s.ns.Path(), "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin",
		"CNI_ARGS": fmt.Sprintf("IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s", s.pod.Namespace, s.pod.Name, s.id, s.pod.UID),
	}
}

func (s *sandbox) config() string {
	runtime := ""
	if s.runtime != "" {
		runtime = `,"runtimeConfig":` + s.runtime
	}
	return fmt.Sprintf(`{"cniVersion":%q,"name":"tsunagu","type":"tsunagu-cni","socket":%q,"retrySeconds":3%s}`, s.version, s.socket(), runtime)
}

// call executes the shim.
func (s *sandbox) call(verb string) reply { s.Helper(); return callShim(s, s.env(verb), s.config()) }

// start executes the shim without waiting for it.
func (s *sandbox) start(verb string) *exec.Cmd {
	s.Helper()
	cmd := exec.Command(shimBinary)
	for k, v := range s.env(verb) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdin = strings.NewReader(s.config())
	s.must(cmd.Start())
	return cmd
}

func callShim(t testing.TB, env map[string]string, config string) reply {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(shimBinary)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(config), &out, os.Stderr
	began := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	return reply{cmd.ProcessState.ExitCode(), out.String(), time.Since(began)}
}

// add attaches and must succeed.
func (s *sandbox) add() addResult {
	s.Helper()
	r := s.call("ADD")
	var result addResult
	if err := json.Unmarshal([]byte(r.output), &result); err != nil || r.code != 0 {
		s.Fatalf("ADD %s: exit %d: %v: %s", s.pod, r.code, err, r.output)
	}
	return result
}

type addResult struct {
	CNIVersion string
	Interfaces []struct{ Name, Mac, Sandbox string }
	IPs        []struct {
		Address, Gateway, Version string
		Interface                 int
	}
	Routes []struct{ Dst, GW string }
}

// ok calls a verb that must succeed and print nothing.
func (s *sandbox) ok(verb string) {
	s.Helper()
	if r := s.call(verb); r.code != 0 || r.output != "" {
		s.Fatalf("%s %s: exit %d: %s", verb, s.pod, r.code, r.output)
	}
}

// interfaces lists the interfaces of the sandbox and their global addresses.
func (s *sandbox) interfaces() map[string][]string {
	s.Helper()
	c, err := link.Dial(s.ns)
	s.must(err)
	defer c.Close()
	links, err := c.Links()
	s.must(err)
	addresses, err := c.Addresses()
	s.must(err)
	all := map[string][]string{}
	for _, l := range links {
		if l.Name == "lo" {
			continue
		}
		all[l.Name] = []string{}
		for _, a := range addresses {
			if a.Index == l.Index && !a.Prefix.Addr().IsLinkLocalUnicast() {
				all[l.Name] = append(all[l.Name], a.Prefix.String())
			}
		}
		slices.Sort(all[l.Name])
	}
	return all
}

// clean fails when anything is left on the node.
func (n *node) clean() {
	n.Helper()
	if held := n.allocator.Held(); len(held) > 0 {
		n.Errorf("addresses are held: %+v", held)
	}
	if v := n.server.View(); len(v.Sandboxes) > 0 {
		n.Errorf("sandboxes are kept: %+v", v.Sandboxes)
	}
	links, err := n.conn.Links()
	n.must(err)
	for _, l := range links {
		if strings.HasPrefix(l.Name, "tsu") {
			n.Errorf("link %s is left", l.Name)
		}
	}
	if len(n.ports.has) > 0 {
		n.Errorf("ports are left: %+v", n.ports.has)
	}
}
