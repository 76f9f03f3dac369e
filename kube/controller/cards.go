package controller

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/node/plan"
	"github.com/tsunagu-net/tsunagu/node/vsphere"
)

// cards brings nodes onto port groups of a vCenter when Pods need them, and off
// again. Package plan decides; what it must remember stands in the vCenter, on
// the card, and in the NodeNetwork. Start reading at round.
type cards struct {
	client.Client
	live client.Reader
	// needs are the Networks that a Pod of an annotation needs of a node.
	needs  func(ctx context.Context, annotation, namespace string) ([]string, error)
	events events.EventRecorder
	log    *slog.Logger
	now    func() time.Time
	login  *vcenter

	owner   string // begins that of each card
	planner *plan.Planner
	busy    map[string]plan.Step // by node, or port group
	done    chan outcome
	groups  map[string]portGroup // by Network
	looked  map[string]time.Time // machines, for cards that are not written down
	loose   map[string][]string
	uids    map[string]types.UID // of Nodes

	mu    sync.Mutex
	words map[string]string // by Network: what is being done, for Pods that wait
	doing map[string]bool   // the Networks onto which a node is being brought
}

// outcome is what became of a step.
type outcome struct {
	plan.Step
	err   error
	text  string // for people, when something was done
	loose []string
}

// portGroup is what was seen of a Network's.
type portGroup struct {
	name string
	at   time.Time
	err  error
}

const (
	cardsEvery = time.Second
	// stepTime is how long one step may take.
	stepTime = 90 * time.Second
	// mostSteps is how many are under way at one time: a vCenter is busy with less.
	mostSteps = 8
	// groupEvery is how often a port group is looked at that was found, machineEvery a machine.
	groupEvery, machineEvery = 30 * time.Second, 30 * time.Minute
	// groupAgain is how soon one is looked at again that was not.
	groupAgain = 10 * time.Second
)

// Verbs besides those of plan: looking at a port group, and at a machine.
const (
	lookAtGroup   plan.Verb = "look at the port group"
	lookAtMachine plan.Verb = "look at the machine"
)

func newCards(c client.Client, live client.Reader, dir string) *cards {
	return &cards{Client: c, live: live, now: time.Now, login: &vcenter{dir: dir}, planner: plan.New(), busy: map[string]plan.Step{}, done: make(chan outcome, mostSteps),
		groups: map[string]portGroup{}, looked: map[string]time.Time{}, loose: map[string][]string{}, words: map[string]string{}}
}

// NeedLeaderElection makes the manager run one only.
func (r *cards) NeedLeaderElection() bool { return true }

// Start looks after cards until ctx ends.
func (r *cards) Start(ctx context.Context) error {
	tick := time.NewTicker(cardsEvery)
	defer tick.Stop()
	told := ""
	for {
		err := r.round(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			r.log.Error("look after network cards", "err", err)
		} else if err == nil {
			told = ""
		}
		select {
		case o := <-r.done:
			r.settled(o)
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// round sees what is there and begins what is to be done.
func (r *cards) round(ctx context.Context) error {
	for len(r.done) > 0 {
		r.settled(<-r.done)
	}
	s, err := r.observe(ctx)
	if err != nil || !s.any() {
		return err
	}
	if r.owner == "" {
		if r.owner, err = r.cluster(ctx); err != nil {
			return err
		}
	}
	center, err := r.login.open()
	if err != nil {
		return r.say(ctx, s, err)
	}
	r.look(ctx, center, s)
	steps := r.planner.Next(s.world)
	if r.count(ctx, s, steps) {
		steps = r.planner.Next(s.world)
	}
	for _, step := range steps {
		if _, busy := r.busy[step.Node]; !busy && step.Do != plan.Count && len(r.busy) < mostSteps {
			r.begin(ctx, center, s, step)
		}
	}
	return r.say(ctx, s, nil)
}

// cluster is the beginning of the owner of this cluster's cards: several
// clusters share a vCenter.
func (r *cards) cluster(ctx context.Context) (string, error) {
	var ns corev1.Namespace
	if err := r.live.Get(ctx, client.ObjectKey{Name: "kube-system"}, &ns); err != nil {
		return "", fmt.Errorf("read namespace kube-system, whose UID is the cluster's: %w", err)
	}
	return vsphere.Tag + string(ns.UID) + "/", nil
}

// look begins to look at port groups and machines that were not looked at for
// some time.
func (r *cards) look(ctx context.Context, center *vsphere.Center, s scene) {
	for _, n := range s.networks {
		g, every := r.groups[n.Name], groupEvery
		if g.err != nil {
			every = groupAgain
		}
		key := "port group of " + n.Name
		_, busy := r.busy[key]
		if g.name == n.Spec.Reach.PortGroup.Name && r.now().Sub(g.at) < every || busy || len(r.busy) >= mostSteps {
			continue
		}
		r.groups[n.Name] = portGroup{n.Spec.Reach.PortGroup.Name, r.now(), g.err}
		r.run(ctx, key, plan.Step{Do: lookAtGroup, Node: key, Network: n.Name}, func(ctx context.Context) (o outcome) {
			o.err = usable(ctx, center, &n)
			return o
		})
	}
	for _, n := range s.world.Nodes {
		if _, busy := r.busy[n.Name]; busy || !n.Usable || len(r.busy) >= mostSteps/2 || r.now().Sub(r.looked[n.Name]) < machineEvery {
			continue
		}
		id := s.machine(n.Name)
		r.run(ctx, n.Name, plan.Step{Do: lookAtMachine, Node: n.Name}, func(ctx context.Context) (o outcome) {
			o.loose, o.err = r.unwritten(ctx, center, n, id)
			return o
		})
	}
}

// count asks the API server how many Pods use the networks of nodes, where that
// decides. It tells whether it did.
func (r *cards) count(ctx context.Context, s scene, steps []plan.Step) (any bool) {
	for _, step := range steps {
		if step.Do != plan.Count {
			continue
		}
		for i := range s.world.Nodes {
			n := &s.world.Nodes[i]
			if n.Name != step.Node || n.Pods != nil {
				continue
			}
			pods, err := r.using(ctx, n.Name)
			if err != nil {
				r.log.Error("count the Pods of a node", "node", n.Name, "err", err)
				continue
			}
			n.Pods, any = pods, true
		}
	}
	return any
}

// run does something in its own time; only one thing per key is under way.
func (r *cards) run(ctx context.Context, key string, step plan.Step, do func(context.Context) outcome) {
	r.busy[key] = step
	go func() {
		ctx, cancel := context.WithTimeout(ctx, stepTime)
		defer cancel()
		o := do(ctx)
		o.Step = step
		r.done <- o
	}()
}

// settled takes note of what became of a step.
func (r *cards) settled(o outcome) {
	delete(r.busy, o.Node)
	now := r.now()
	switch {
	case o.Do == lookAtGroup:
		g := r.groups[o.Network]
		g.at, g.err = now, o.err
		r.groups[o.Network] = g
	case o.Do == lookAtMachine:
		r.looked[o.Node] = now
		if o.err == nil {
			r.loose[o.Node] = o.loose
		}
	case o.err == nil:
		r.planner.Done(o.Step)
		delete(r.loose, o.Node)
		if o.Do == plan.Give || o.Do == plan.Take { // what is written may be more than was looked at
			r.looked[o.Node] = now
		}
	case o.Do == plan.Take:
		r.planner.TakeFailed(o.Step, now)
	default:
		r.planner.Failed(o.Step, now, o.err.Error(), passes(o.err))
	}
	if o.err != nil && o.Do != lookAtMachine {
		r.log.Warn("a step for a network card failed", "step", o.Do, "node", o.Node, "network", o.Network, "err", o.err)
	} else if o.text != "" {
		r.log.Info(o.text, "node", o.Node, "network", o.Network)
	}
	r.tell(o)
}

// tell says on the Node what was done to its machine.
func (r *cards) tell(o outcome) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: o.Node, UID: r.uids[o.Node]}}
	switch {
	case o.text == "" && o.err == nil, o.Do == lookAtGroup, o.Do == lookAtMachine:
	case o.err != nil:
		r.events.Eventf(node, nil, corev1.EventTypeWarning, ReasonCardFailed, "Attach", "network %s: %v", o.Network, o.err)
	default:
		r.events.Eventf(node, nil, corev1.EventTypeNormal, ReasonCardChanged, "Attach", "%s", o.text)
	}
}

// Reasons of Events about network cards of virtual machines.
const (
	ReasonCardAdding  = "NetworkCardIsAdded"
	ReasonCardChanged = "NetworkCardChanged"
	ReasonCardFailed  = "NetworkCardFailed"
)

// Acting tells whether a node is being brought onto one of these Networks.
func (r *cards) Acting(networks []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(networks, func(n string) bool { return r.doing[n] })
}

// Says are the words for Pods that wait for Networks: what is being done.
func (r *cards) Says(networks []string) (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range networks {
		if text := r.words[n]; text != "" {
			all = append(all, "network "+n+": "+text)
		}
	}
	return all
}
