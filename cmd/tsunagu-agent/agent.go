package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/attach/chained"
	"github.com/tsunagu-net/tsunagu/attach/delegate"
	"github.com/tsunagu-net/tsunagu/attach/dhcp"
	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/install"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/primary"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/journal"
	"github.com/tsunagu-net/tsunagu/kernel/clock"
	"github.com/tsunagu-net/tsunagu/kube"
	"github.com/tsunagu-net/tsunagu/kube/beside"
	"github.com/tsunagu-net/tsunagu/overlay"
)

// daemonSet is the name of the DaemonSet that the agent runs from (deploy/).
const daemonSet = "tsunagu-agent"

// agent is the node's rooms, put together.
type agent struct {
	options options
	log     *slog.Logger
	metrics *metrics

	client      *kube.Client
	pods        *kube.Pods
	nodes       *kube.Nodes
	wishes      *kube.Wishes
	definitions *kube.Definitions
	pools       *kube.Pools
	services    *kube.Services
	networks    *kube.Networks
	own         *kube.NodeNetwork
	events      *kube.Events
	overlay     *overlay.Overlay
	primary     *primary.Follower // nil when Pods are on tsunagu's own network
	installer   atomic.Pointer[install.Installer]

	// known once the node's object was seen
	identity atomic.Pointer[identity]
	server   atomic.Pointer[attach.Server]
}

// run is the agent's life: it ends when ctx does, which is not an error, or when a part fails that the others cannot do without.
func run(ctx context.Context, o options, log *slog.Logger) error {
	log.Info("tsunagu-agent starts", "version", version, "node", o.node)
	if err := alone(ctx, o.runDir, log); err != nil {
		return quiet(ctx, err)
	}
	a := &agent{options: o, log: log, metrics: newMetrics()}
	if err := a.assemble(); err != nil {
		return err
	}
	// What answers calls needs the rest until its last call is done, so the rest ends after it.
	below, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, failing := errgroup.WithContext(below)
	for name, part := range map[string]func(context.Context) error{
		"nodes": a.nodes.Run, "pods": a.pods.Run, "wishes": a.wishes.Run, "definitions": a.definitions.Run, "pools": a.pools.Run, "services": a.services.Run,
		"networks": a.networks.Run, "what the node has": a.own.Run,
		"events": a.events.Run, "overlay": a.overlay.Run, "nodes to overlay": a.tellNodes, "pages": a.pages,
	} {
		group.Go(func() error { return named(name, part(failing)) })
	}
	group.Go(func() error {
		defer stop()
		serving, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(failing, cancel)()
		return a.serve(serving, failing, group)
	})
	err := group.Wait()
	log.Info("tsunagu-agent has ended its work", "err", err)
	return quiet(ctx, err)
}

// assemble makes what needs no answer of the API server.
func (a *agent) assemble() error {
	cfg, err := kube.Config(a.options.kubeconfig)
	if err != nil {
		return err
	}
	cfg.UserAgent = "tsunagu-agent/" + version
	if a.client, err = kube.Connect(cfg, a.metrics.request); err != nil {
		return err
	}
	if a.options.existing {
		a.primary = primary.Follow(a.options.confDir, a.declare, a.log.With("room", "primary"))
	}
	a.pods = kube.NewPods(a.client, a.options.node)
	a.wishes = kube.NewWishes(a.client, a.pods)
	a.nodes = kube.NewNodes(a.client)
	a.definitions = kube.NewDefinitions(a.client)
	a.pools = kube.NewPools(a.client)
	a.services = kube.NewServices(a.client, a.log)
	a.networks, a.own = kube.NewNetworks(a.client), kube.NewNodeNetwork(a.client, a.options.node)
	a.events = kube.NewEvents(a.client, a.options.node, a.log)
	if a.overlay, err = overlay.New(a.options.overlay, a.options.node, a.log.With("room", "overlay")); err != nil {
		return err
	}
	return nil
}

// serve answers the container runtime from when the node knows who it is, until ctx ends. What runs beside it lives a little longer, as
// long as the journals are open.
func (a *agent) serve(ctx, below context.Context, group *errgroup.Group) error {
	idFile := filepath.Join(a.options.runDir, "node.json")
	id, err := identify(ctx, a.options.node, idFile, a.nodes, a.log)
	if err != nil {
		return quiet(ctx, err)
	}
	a.identity.Store(&id)
	addressLog, lost, err := a.openJournal(ctx, "addresses.journal", ipam.Ends)
	if err != nil {
		return err
	}
	defer addressLog.Close()
	records, found, err := a.openJournal(ctx, "sandboxes.journal", attach.Ends)
	if err != nil {
		return err
	}
	defer records.Close()
	wirer, err := kind.New("", a.log.With("room", "kind"))
	if err != nil {
		return err
	}
	defer wirer.Close()
	wirer.PreferDatapath(a.options.datapath)
	a.metrics.registry.MustRegister(vlanDrops{wirer.VLANDrops})

	beside, end := context.WithCancel(below)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer end()
	start := func(name string, part func(context.Context) error) {
		parts.Add(1)
		group.Go(func() error { defer parts.Done(); return named(name, part(beside)) })
	}
	start("identity", func(ctx context.Context) error { return id.follow(ctx, idFile, a.nodes) })
	store := kube.NewAddresses(a.client, a.log.With("room", "ipam"))
	addresses, err := ipam.New(ipam.Options{
		Node: id.Name, NodeUID: id.UID, Store: store, Log: addressLog, Logger: a.log.With("room", "ipam"),
		Pool: a.pools.Known,
	})
	if addresses == nil {
		return err
	}
	damaged := err != nil
	if damaged {
		a.log.Error("some records of addresses are lost; they are taken from the records of sandboxes", "err", err)
	}
	start("networks of the node", func(ctx context.Context) error { return a.watchNetworks(ctx, &id) })
	start("number of nodes", func(ctx context.Context) error { return a.tellCount(ctx, addresses) })
	given, handOut := a.booked(addresses, id.UID)
	leaseLog, _, err := a.openJournal(ctx, "leases.journal", nil)
	if err != nil {
		return err
	}
	defer leaseLog.Close()
	leases, err := dhcp.New(dhcp.Options{Open: dhcp.OpenLine, Log: leaseLog, Now: clock.Boot, InUse: dhcp.InUse, Logger: a.log.With("room", "dhcp")})
	if err != nil {
		a.log.Error("some DHCP leases are forgotten; their Pods' addresses are not renewed", "err", err)
	}
	server, err := attach.New(attach.Config{
		Primary: a.ownNetwork(), ClusterNetwork: a.options.clusterNetwork, EveryPod: a.options.everyPod, Files: a.options.networkDirs,
		Pods: a.pods, Definitions: a.definitions, Pools: a.pools, Namespaces: a.options.namespaces,
		PodNetwork: podNetwork{a.options.node, a.nodes, a.services, a.overlay, a.options.prefixes},
		Delegates:  delegate.New(delegate.Options{Root: a.options.hostRoot, Dirs: []string{a.options.binDir}, Patience: a.options.pluginTime}),
		Chained:    &chained.Runner{Root: a.options.hostRoot},
		Addresses:  given, Claims: store, Wirer: wirer, Ports: hostport.New(a.overlay.Table(), a.log.With("room", "hostport")),
		Events: a.events, Statuses: kube.NewStatuses(a.client), Elsewhere: kube.NewElsewhere(a.client, a.options.node), Leases: leases, Devices: a.options.devices(), Cards: a.card, Wishes: a.wishes, Meter: a.metrics, Log: a.log.With("room", "attach"),
		Records: records, Incomplete: found.New || found.Damaged > 0, Lacks: a.lacks,
	})
	if err != nil {
		a.log.Error("some records of sandboxes are lost; what they spoke of stays until its Pods go", "err", err)
	}
	if err := server.Recover(ctx, lost.New || lost.Damaged > 0 || damaged); err != nil {
		a.log.Error("some addresses of Pods that run are not known", "err", err)
	}
	start("addresses", handOut)
	if err := server.Start(ctx); err != nil {
		a.log.Error("start: some of it is tried again", "err", err)
	}
	a.metrics.watch(server, addresses)
	a.server.Store(server)
	listener, err := attach.Listen(a.options.socket)
	if err != nil {
		return err
	}
	start("sweep", server.Run)
	start("live changes", server.Live)
	start("leases", func(ctx context.Context) error { return leases.Run(ctx, server) })
	start("routes", func(ctx context.Context) error { return a.watchRoutes(ctx, server) })
	if a.options.keepConf {
		uninstall, err := a.install(ctx, below, start)
		if err != nil {
			return err
		}
		defer uninstall()
	}
	a.log.Info("answering the container runtime", "socket", a.options.socket)
	return server.Serve(ctx, listener)
}

// journalReserve is what a journal sets aside for DELs on a full disk: for some hundred Pods.
const journalReserve = 256 << 10

// openJournal opens a journal of the run folder and tells of what it lost.
func (a *agent) openJournal(ctx context.Context, name string, ends func(string, []byte) bool) (*journal.Journal, journal.Report, error) {
	j, report, err := journal.Open(ctx, filepath.Join(a.options.runDir, name), journal.Options{Reserve: journalReserve, Ends: ends})
	if errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w; make %s writable, with some MiB of room: the agent begins again by itself", err, a.options.runDir)
	}
	if err == nil && report.Damaged > 0 {
		a.log.Error("a journal is damaged", "journal", name, "bytes", report.Damaged)
	}
	return j, report, err
}

// ownNetwork is the network that the node had before, when Pods stay on it.
func (a *agent) ownNetwork() attach.Primary {
	if a.primary == nil {
		return nil
	}
	return a.primary
}

// declare has the runtime told what the plugins of the node's own network need to know.
func (a *agent) declare(c primary.Conf) {
	if i := a.installer.Load(); i != nil {
		if err := i.Declare(c.Capabilities); err != nil {
			a.log.Error("the CNI configuration does not declare what the node's own network needs yet", "err", err)
		}
	}
}

// install puts shim and configuration in their places, the latter when the agent can serve, and gives what to do at the end.
func (a *agent) install(ctx, below context.Context, start func(string, func(context.Context) error)) (end func(), err error) {
	installer := install.New(install.Places{Shim: a.options.shim, BinDir: a.options.binDir, ConfDir: a.options.confDir, Socket: a.options.socket, IPAM: a.options.ipamPlugins},
		a.log.With("room", "install"))
	if err := installer.Install(); err != nil {
		return nil, err
	}
	if a.primary != nil {
		if c, err := a.primary.Conf(); err == nil {
			_ = installer.Declare(c.Capabilities) // nothing is published yet
		}
		a.installer.Store(installer)
		start("the node's own network", a.primary.Run)
	}
	start("install", func(context.Context) error {
		for told := ""; ; {
			lacks := a.lacks()
			if len(lacks) == 0 {
				break
			}
			if lacks[0] != told {
				told = lacks[0]
				a.log.Info("not ready yet", "lacks", lacks)
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return nil
			}
		}
		if err := installer.Publish(); err != nil {
			a.log.Error("the container runtime does not call tsunagu yet", "err", err)
		}
		installer.Keep(ctx)
		return nil
	})
	if a.options.namespace == "" {
		return func() {}, nil
	}
	life := &install.Life{}
	presence := kube.Presence{Client: a.client.Metadata, Namespace: a.options.namespace, DaemonSet: daemonSet, Life: life, Log: a.log}
	start("presence", presence.Run)
	return func() {
		last, cancel := context.WithTimeout(below, 2*time.Second)
		defer cancel()
		presence.Ask(last)
		if !life.Uninstalled() {
			return
		}
		a.log.Info("tsunagu was uninstalled: its CNI files are removed, running Pods keep their networks")
		if err := installer.Remove(); err != nil {
			a.log.Error("remove the CNI files", "err", err)
		}
	}, nil
}

// lacks is what keeps the agent from attaching Pods. Definitions and pools are not in it: Pods that select no network do without.
func (a *agent) lacks() []string {
	var lacks []string
	node, known := a.nodes.Node(a.options.node)
	switch {
	case !a.nodes.Synced():
		lacks = append(lacks, "the nodes were not read from the API server yet")
	case !known:
		lacks = append(lacks, "there is no Node object called "+a.options.node)
	case len(node.PodCIDRs) == 0 && !a.options.existing:
		lacks = append(lacks, "Node "+a.options.node+" has no podCIDR")
	}
	if a.primary != nil {
		if _, err := a.primary.Conf(); err != nil {
			lacks = append(lacks, "the node's own network is to stay, and "+err.Error())
		}
	}
	if !a.pods.Synced() {
		lacks = append(lacks, "the Pods of this node were not read from the API server yet")
	}
	if !closedNow(a.overlay.Ready()) {
		message := "the pod network is not set up yet"
		if s := a.overlay.Status(); s.Err != "" {
			message += ": " + s.Err
		}
		lacks = append(lacks, message)
	}
	return lacks
}

// tellNodes hands the overlay each complete picture of the nodes.
func (a *agent) tellNodes(ctx context.Context) error {
	for {
		changed := a.nodes.Changed()
		if a.nodes.Synced() {
			a.overlay.SetNodes(a.nodes.List())
		}
		if !next(ctx, changed) {
			return nil
		}
	}
}

// booked gives out addresses, booked with whereabouts while other nodes run it.
func (a *agent) booked(addresses *ipam.Allocator, nodeUID string) (attach.Addresses, func(context.Context) error) {
	if a.options.beside == "" {
		return addresses, addresses.Run
	}
	b := beside.New(addresses, &beside.Book{Client: a.client.Networks, Namespace: a.options.beside, Node: nodeUID}, a.log.With("room", "beside"))
	return b, b.Run
}

// tellCount tells ipam how many nodes share pools.
func (a *agent) tellCount(ctx context.Context, addresses *ipam.Allocator) error {
	for {
		changed := a.nodes.Changed()
		if a.nodes.Synced() {
			addresses.SetNodes(len(a.nodes.List()))
		}
		if !next(ctx, changed) {
			return nil
		}
	}
}

// next waits for a change, and a little longer, because changes come in bursts.
func next(ctx context.Context, changed <-chan struct{}) bool {
	select {
	case <-changed:
	case <-ctx.Done():
		return false
	}
	select {
	case <-time.After(20 * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}

// pages answers by HTTP: to everybody on the node, and to root at a socket.
func (a *agent) pages(ctx context.Context) error {
	p := &pages{options: a.options, metrics: a.metrics, overlay: a.overlay, server: a.server.Load, node: func() identity {
		if id := a.identity.Load(); id != nil {
			return *id
		}
		return identity{Name: a.options.node}
	}}
	socket, err := attach.Listen(filepath.Join(a.options.runDir, "agent.sock"))
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(ctx, socket, p.closed()) })
	if a.options.http != "" {
		l, err := net.Listen("tcp", a.options.http)
		if err != nil {
			socket.Close()
			return fmt.Errorf("listen for metrics: %w", err)
		}
		group.Go(func() error { return serve(ctx, l, p.open()) })
	}
	return group.Wait()
}

// named says which part of the agent failed.
func named(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// quiet makes the end of ctx no error.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
