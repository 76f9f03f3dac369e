package attach

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/chained"
	"github.com/tsunagu-net/tsunagu/attach/delegate"
	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// Wirer wires interfaces (kind.Wirer).
type Wirer interface {
	Wire(ctx context.Context, netns string, attachments []kind.Attachment) ([]kind.Wired, error)
	Readdress(ctx context.Context, netns string, r kind.Record, to kind.Layout) (kind.Wired, error)
	Unwire(ctx context.Context, netns string, records []kind.Record) error
	// Detach takes some interfaces away and leaves the others.
	Detach(ctx context.Context, netns string, records []kind.Record) error
	Check(ctx context.Context, netns string, records []kind.Record) error
	Orphans(ctx context.Context, owned []kind.Record) ([]kind.Orphan, error)
	Remove(ctx context.Context, orphans []kind.Orphan) error
	Mend(ctx context.Context, owned []kind.Record) (lost []netip.Addr, err error)
	// Seek asks the segment of an interface who has addresses, Gateways which of its gateways do not answer.
	Seek(ctx context.Context, netns string, of kind.Record, addresses []netip.Addr) ([]kind.Stranger, error)
	Gateways(ctx context.Context, netns string, of kind.Record, gateways []netip.Addr) (silent []netip.Addr, err error)
	// Observe, Reroute and Keep are about interfaces that plugins of others made.
	Observe(ctx context.Context, netns string) (map[string]kind.Observed, error)
	Reroute(ctx context.Context, netns, ifName string, gateways []netip.Addr, keep []netip.Prefix) error
	Keep(ctx context.Context, netns, ifName string, was []kind.Route, keep []netip.Prefix) error
	// Inventory finds the sandboxes of this node that have interfaces of ours.
	Inventory(ctx context.Context) ([]kind.Found, error)
}

// Ports forwards ports of the node (hostport.Table).
type Ports interface {
	Set(ctx context.Context, s hostport.Sandbox) error
	Delete(ctx context.Context, id string) error
	Sync(ctx context.Context, all []hostport.Sandbox) error
}

// Events tells people what happened to Pods. Neither waits, and the same thing said again is counted.
type Events interface {
	Warn(pod Pod, reason, message string)
	Note(pod Pod, reason, message string)
}

// Meter counts and measures.
type Meter interface {
	// Verb is told of every call that was answered; outcome is "ok" or the Reason of the refusal.
	Verb(verb, outcome string, took time.Duration)
	// Stage is told how long a part of a call took.
	Stage(verb, stage string, took time.Duration)
	// Stranger is told of every address that a stranger has, and what became of it: "avoided", "refused", or "late" when a Pod has it.
	Stranger(pool, outcome string)
}

// Config is what a Server works with.
type Config struct {
	Pods        Pods
	Definitions Definitions
	Pools       Pools
	PodNetwork  PodNetwork
	Namespaces  Namespaces
	Addresses   Addresses
	Claims      Claims
	Wirer       Wirer
	// Chained may be nil: then it is a chained.Runner.
	Chained Chained
	// Primary is the network that the node had before; nil when Pods are on tsunagu's own. ClusterNetwork is another default network as
	// namespace/name, "" for none. Files are folders of the node for definitions without a configuration.
	Primary        Primary
	ClusterNetwork string
	// EveryPod are networks that Pods are on besides.
	EveryPod EveryPod
	Files    []string
	// Delegates may be nil: then plugins of others are looked for where the runtime looks.
	Delegates Delegates
	Ports     Ports
	Events    Events
	Statuses  Statuses
	// Elsewhere may be nil: then nobody is told that nodes give the same addresses.
	Elsewhere Elsewhere
	// Devices may be nil: then a network of a resource gets no device of the Pod's.
	Devices Devices
	// Cards may be nil: then a network of a port group has no interface here.
	Cards Cards
	// Leases may be nil: then networks of ipam type dhcp are refused.
	Leases Leases
	// Wishes may be nil: then no Pod that runs is attached to other networks.
	Wishes Wishes
	Meter  Meter
	Log    *slog.Logger
	// Records is the log of sandboxes. Incomplete tells that some of it was lost, or that there was none.
	Records    Log
	Incomplete bool
	// Lacks lists what the agent cannot do without and does not have yet; empty when it is ready.
	Lacks func() []string
}

// Limits of a call.
const (
	// longestCall bounds a call in all; the shim gives up after 90 s.
	longestCall = 80 * time.Second
	// readyWait is how long a call waits for an agent that has just started.
	readyWait = 5 * time.Second
	// undoTime is what taking away may take after a call has failed.
	undoTime = 20 * time.Second
	// mostWirings bounds the sandboxes that are wired at the same time, and those that are unwired; the kernel does one after the other
	// anyway (RTNL).
	mostWirings = 8
)

// Server answers the shim.
type Server struct {
	Config
	planner   planner
	records   *records
	loans     *loans
	sandboxes sandboxes
	reports   *reports
	nodeOnly  *nodeOnly
	recounter *recounter
	verdicts  verdicts
	ahead     *ahead
	live      *live
	wirings   chan struct{}
	unwirings chan struct{}
	// making is held for reading by who wires, so that the sweep sees no link before its record.
	making sync.RWMutex
	// spared are links of ours that were there before and that no record speaks of, because the log was lost.
	spared   map[string]bool
	damaged  bool
	suspects map[string]time.Time
	// disturbed asks for the routes to Pods to be put back.
	disturbed  chan struct{}
	busySweeps int
	// looked is when address objects without an interface were last looked for.
	looked time.Time
	// strays are imported address objects whose Pods were gone at that look.
	strays map[string]bool
}

// New makes a server that knows the sandboxes of the log. The error tells of damaged records; the server works nevertheless.
func New(c Config) (*Server, error) {
	records, err := readRecords(c.Records)
	loans, bad := readLoans(c.Records)
	err = errors.Join(err, bad)
	s := &Server{
		Config:  c,
		planner: planner{definitions: c.Definitions, pools: c.Pools, namespaces: c.Namespaces, podNetwork: c.PodNetwork, devices: c.Devices, cards: c.Cards, primary: c.Primary, clusterNetwork: c.ClusterNetwork, everyPod: c.EveryPod, files: c.Files},
		records: records, loans: loans,
		wirings: make(chan struct{}, mostWirings), unwirings: make(chan struct{}, mostWirings), disturbed: make(chan struct{}, 1),
		spared: map[string]bool{}, suspects: map[string]time.Time{},
	}
	if c.Chained == nil {
		s.Chained = &chained.Runner{}
	}
	if c.Delegates == nil {
		s.Delegates = delegate.New(delegate.Options{})
	}
	if c.Leases == nil {
		s.Leases = noLeases{}
	}
	s.damaged = err != nil || c.Incomplete || hasGap(c.Records)
	s.reports = newReports(s)
	s.nodeOnly = &nodeOnly{server: s, asked: map[string]time.Time{}}
	s.recounter = newRecounter(s)
	s.ahead = &ahead{server: s, places: make(chan struct{}, mostAhead)}
	s.live = newLive(s)
	return s, err
}

// Call answers one call of the shim. When ctx ends, because the shim is gone, an ADD is undone.
func (s *Server) Call(ctx context.Context, q shimrpc.Request) shimrpc.Response {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, longestCall)
	defer cancel()
	r, bad := readRequest(q)
	output, outcome := []byte(nil), "ok"
	if bad == nil {
		var err error
		if output, err = s.verb(ctx, r); err != nil {
			refusal := refused(err)
			bad, outcome = refusal.cni(), refusal.Reason
		}
	} else {
		outcome = "BadRequest"
	}
	took := time.Since(began)
	s.Meter.Verb(q.Command, outcome, took)
	log := s.Log.With("verb", q.Command, "container", q.ContainerID, "took", took)
	if r.pod.Name != "" {
		log = log.With("pod", r.pod.Namespace+"/"+r.pod.Name)
	}
	if bad != nil {
		log.Warn("refused", "reason", outcome, "code", bad.Code, "err", bad.Msg, "details", bad.Details)
		return shimrpc.Response{Output: bad.JSON(r.version), Failed: true}
	}
	if q.Command != "STATUS" {
		log.Info("done")
	}
	return shimrpc.Response{Output: output}
}

func (s *Server) verb(ctx context.Context, r *request) ([]byte, error) {
	if r.ipam != nil {
		return s.ipamVerb(ctx, r)
	}
	switch r.Command {
	case "ADD":
		return s.add(ctx, r)
	case "DEL":
		return nil, s.del(ctx, r.ContainerID, r.IfName, r.NetNS, r.Started)
	case "CHECK":
		return nil, s.check(ctx, r)
	case "GC":
		return nil, s.gc(ctx, r)
	case "STATUS":
		if err := s.status(); err != nil {
			return nil, err
		}
		if err := s.primaryStatus(ctx, filepath.SplitList(r.Path)); err != nil {
			status := *refused(err)
			status.Code = shimrpc.CodeNotAvailable
			return nil, &status
		}
		return nil, nil
	}
	return shimrpc.VersionJSON(r.version), nil
}

// ready waits a little until the agent has all it needs.
func (s *Server) ready(ctx context.Context) error {
	deadline := time.Now().Add(readyWait)
	for {
		lacks := s.Lacks()
		if len(lacks) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return notReady(strings.Join(lacks, "; "), "none needed if it has just started: the call is repeated; else run `tsunagu doctor`")
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// status answers STATUS (CNI spec 1.1.0): an error means that no ADD would succeed.
func (s *Server) status() error {
	if lacks := s.Lacks(); len(lacks) > 0 {
		r := notReady(strings.Join(lacks, "; "), "none needed if it has just started; else run `tsunagu doctor`")
		r.Code = shimrpc.CodeNotAvailable
		return r
	}
	return nil
}

// stage measures a part of a call.
func (s *Server) stage(verb, stage string, since time.Time) time.Time {
	now := time.Now()
	s.Meter.Stage(verb, stage, now.Sub(since))
	return now
}

// wiring waits for one of the places of those who wire, or of those who unwire: Pods that go must not keep others from coming.
func (s *Server) wiring(ctx context.Context, places chan struct{}) (release func(), err error) {
	select {
	case places <- struct{}{}:
		s.making.RLock()
		return func() { s.making.RUnlock(); <-places }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

var errDeleted = errors.New("the sandbox is being deleted")
