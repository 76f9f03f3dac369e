package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubetypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/node/vsphere/vspheretest"
)

// cardWorld is a cluster whose nodes are machines of a simulated vCenter. The
// test plays agents, label controller and scheduler.
type cardWorld struct {
	*testing.T
	client.Client
	site     *vspheretest.Site
	machines []vspheretest.Machine
	r        *cards
	events   *events.FakeRecorder
	now      time.Time
	login    string
	calls    int // writes that may be made until the controller is killed; -1 for all
	blind    map[string]bool
}

func newCardWorld(t *testing.T, group v1alpha1.PortGroup, nodes int) *cardWorld {
	site, err := vspheretest.Start(t.Context(), 3, nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	w := &cardWorld{T: t, site: site, now: time.Unix(1_800_000_000, 0), login: t.TempDir(), calls: -1, blind: map[string]bool{}, events: events.NewFakeRecorder(1000)}
	if w.machines, err = site.Machines(t.Context()); err != nil {
		t.Fatal(err)
	}
	server, user, password, _ := site.Login()
	for name, text := range map[string]string{"server": server + "\n", "username": user, "password": password, "ca.crt": string(site.CA())} {
		if err := os.WriteFile(filepath.Join(w.login, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "cluster-1"}},
		&v1alpha1.Network{ObjectMeta: metav1.ObjectMeta{Name: "blue", Generation: 1}, Spec: v1alpha1.NetworkSpec{Reach: &v1alpha1.Reach{PortGroup: &group}, Attachment: v1alpha1.Attachment{Kind: "macvlan"}}},
	}
	for i, m := range w.machines {
		objects = append(objects, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: w.name(i), UID: kubetypes.UID(w.name(i)), Labels: map[string]string{"kubernetes.io/hostname": w.name(i)}},
			Spec: corev1.NodeSpec{ProviderID: "vsphere://" + m.UUID},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
				Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourcePods: resource.MustParse("110")}}},
			&v1alpha1.NodeNetwork{ObjectMeta: metav1.ObjectMeta{Name: w.name(i)}})
	}
	w.Client = cluster(t, objects...)
	w.start()
	return w
}

func (w *cardWorld) name(i int) string { return fmt.Sprintf("node%d", i+1) }

// start starts a controller that remembers nothing.
func (w *cardWorld) start() {
	may := func() error {
		if w.calls == 0 {
			return errKilled
		}
		w.calls--
		return nil
	}
	c := interceptor.NewClient(w.Client.(client.WithWatch), interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			if err := may(); err != nil {
				return err
			}
			return c.Update(ctx, o, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if err := c.List(ctx, list, opts...); err != nil {
				return err
			}
			if known, ok := list.(*metav1.PartialObjectMetadataList); ok { // the cache has those on no node
				var pods corev1.PodList
				if err := c.List(ctx, &pods); err != nil {
					return err
				}
				known.Items = nil
				for _, p := range pods.Items {
					if p.Spec.NodeName == "" {
						known.Items = append(known.Items, metav1.PartialObjectMetadata{ObjectMeta: p.ObjectMeta})
					}
				}
			}
			return nil
		},
	})
	w.r = newCards(c, c, w.login)
	w.r.now, w.r.events, w.r.log = func() time.Time { return w.now }, w.events, slog.New(slog.DiscardHandler)
	w.r.needs = func(_ context.Context, annotation, _ string) ([]string, error) {
		return strings.Split(annotation, ","), nil
	}
}

func (w *cardWorld) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// pod makes one that selects networks.
func (w *cardWorld) pod(name string, change func(*corev1.Pod)) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, UID: kubetypes.UID(name), Annotations: map[string]string{attach.SelectionAnnotation: "blue"}, CreationTimestamp: metav1.NewTime(w.now)}}
	if change != nil {
		change(p)
	}
	w.must(w.Create(w.Context(), p))
}

// pass lets time pass, in which all do their part.
func (w *cardWorld) pass(d time.Duration) {
	w.Helper()
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(time.Second) {
		w.control()
		w.play()
	}
}

// control is one round of the controller, until nothing is under way.
func (w *cardWorld) control() {
	w.Helper()
	for again := true; again; {
		if err := w.r.round(w.Context()); err != nil && !errors.Is(err, errKilled) {
			w.Fatal(err)
		}
		if again = len(w.r.busy) > 0; again {
			w.r.settled(<-w.r.done)
		}
	}
	if w.calls == 0 {
		w.calls = -1
		w.start()
	}
}

// play is what agents, the label controller and the scheduler do.
func (w *cardWorld) play() {
	w.Helper()
	ready := map[string]bool{}
	for i, m := range w.machines {
		name := w.name(i)
		has := w.has(i)
		cards := w.site.Cards(m)
		label := false
		for _, c := range has.Spec.Cards {
			for _, nic := range cards {
				label = label || strings.EqualFold(nic.MAC, c.MAC) && !c.Leaving && !w.blind[name] && c.Network == "blue"
			}
		}
		has.Status.Heartbeat = metav1.NewTime(w.now)
		w.must(w.Update(w.Context(), &has))
		var node corev1.Node
		w.must(w.Get(w.Context(), client.ObjectKey{Name: name}, &node))
		if label {
			node.Labels[v1alpha1.NetworkReadyPrefix+"blue"] = v1alpha1.NetworkReadyValue
		} else {
			delete(node.Labels, v1alpha1.NetworkReadyPrefix+"blue")
		}
		w.must(w.Update(w.Context(), &node))
		ready[name] = label
	}
	var pods corev1.PodList
	w.must(w.List(w.Context(), &pods))
	for _, p := range pods.Items {
		for i := range w.machines {
			if want := p.Spec.NodeSelector["kubernetes.io/hostname"]; p.Spec.NodeName == "" && ready[w.name(i)] && (want == "" || want == w.name(i)) {
				p.Spec.NodeName = w.name(i)
				w.must(w.Update(w.Context(), &p))
			}
		}
	}
}

func (w *cardWorld) has(i int) (h v1alpha1.NodeNetwork) {
	w.Helper()
	w.must(w.Get(w.Context(), client.ObjectKey{Name: w.name(i)}, &h))
	return h
}

// added counts the cards that were added to machines, and those that are written down.
func (w *cardWorld) added() (there, written int) {
	w.Helper()
	for i, m := range w.machines {
		cards := w.site.Cards(m)
		for _, c := range cards {
			if strings.HasPrefix(c.Owner, "tsunagu.dev/cluster-1/") {
				there++
			}
		}
		written += len(w.has(i).Spec.Cards)
	}
	return there, written
}

func (w *cardWorld) wants(there, written int, when string) {
	w.Helper()
	if a, b := w.added(); a != there || b != written {
		w.Fatalf("%s: %d cards in vSphere and %d written down, want %d and %d", when, a, b, there, written)
	}
}

// on tells on which node a Pod is.
func (w *cardWorld) on(name string) string {
	w.Helper()
	var p corev1.Pod
	w.must(w.Get(w.Context(), client.ObjectKey{Namespace: "team", Name: name}, &p))
	return p.Spec.NodeName
}

func (w *cardWorld) gone(name string) {
	w.Helper()
	w.must(w.Delete(w.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}}))
}

// condition is the Network's, as "status reason: message".
func (w *cardWorld) condition() string {
	w.Helper()
	var n v1alpha1.Network
	w.must(w.Get(w.Context(), client.ObjectKey{Name: "blue"}, &n))
	c := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionPortGroup)
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
}

func (w *cardWorld) says(words ...string) {
	w.Helper()
	for _, word := range words {
		if got := w.condition(); !strings.Contains(got, word) {
			w.Errorf("the condition is %q, want %q in it", got, word)
		}
	}
}

func vlan120(idle time.Duration) v1alpha1.PortGroup {
	return v1alpha1.PortGroup{Name: "vlan120", IdleAfter: &metav1.Duration{Duration: idle}}
}

// A card comes when a Pod waits, stays while it is used, and goes when it was
// idle for long enough.
func TestCardComesAndGoes(t *testing.T) {
	w := newCardWorld(t, vlan120(20*time.Second), 2)
	w.pass(5 * time.Second)
	w.wants(0, 0, "before")
	w.says("True Usable", "vlan120", "none")
	w.pod("a", nil)
	w.pass(4 * time.Second)
	w.wants(1, 1, "while a Pod waits")
	node := w.on("a")
	w.says("True Usable", node)
	w.pod("b", nil)
	w.pass(60 * time.Second)
	w.wants(1, 1, "while it is used")
	if w.on("b") != node {
		t.Errorf("the second Pod is on %q, the first on %q", w.on("b"), node)
	}
	w.gone("a")
	w.gone("b")
	w.pass(15 * time.Second)
	w.wants(1, 1, "while it may be needed again")
	w.pass(20 * time.Second)
	w.wants(0, 0, "after idle time")
	var said []string
	for len(w.events.Events) > 0 {
		said = append(said, <-w.events.Events)
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{"NetworkCardIsAdded network blue: node " + node + " is given a network card on port group vlan120", "NetworkCardChanged network blue: node " + node, "was taken away"} {
		if !strings.Contains(all, want) {
			t.Errorf("no Event says %q:\n%s", want, all)
		}
	}
}

// Whenever the controller is killed between two writes, there is one card, and
// none in the end.
func TestCardsOutliveTheController(t *testing.T) {
	for after := range 5 {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			w := newCardWorld(t, vlan120(5*time.Second), 2)
			w.calls = after
			w.pod("a", nil)
			w.pass(10 * time.Second)
			if there, _ := w.added(); there != 1 || w.on("a") == "" {
				t.Fatalf("%d cards; the Pod is on %q", there, w.on("a"))
			}
			if w.calls < 0 {
				w.calls = after
			}
			w.gone("a")
			w.pass(60 * time.Second)
			w.wants(0, 0, "in the end")
		})
	}
}

// A card that was added and not written down is found by the next controller,
// also when nobody needs it any more.
func TestUnwrittenCardIsFound(t *testing.T) {
	w := newCardWorld(t, vlan120(5*time.Second), 1)
	w.pass(2 * time.Second)
	w.calls = 0
	w.pod("a", nil)
	w.control()
	w.wants(1, 0, "after the kill")
	w.gone("a")
	w.pass(30 * time.Second)
	w.wants(0, 0, "in the end")
}

// Two controllers at the same time, as when one was believed dead, make one
// card.
func TestTwoControllersOneCard(t *testing.T) {
	w := newCardWorld(t, vlan120(time.Minute), 1)
	w.play()
	first := w.r
	w.start()
	w.pod("a", nil)
	for range 3 { // both looked before either acts
		w.must(first.round(t.Context()))
		w.must(w.r.round(t.Context()))
		for _, r := range []*cards{first, w.r} {
			for len(r.busy) > 0 {
				r.settled(<-r.done)
			}
		}
	}
	w.wants(1, 1, "of two controllers")
}

// A Pod that comes when a card is about to go keeps it, or has another at once.
func TestPodComesWhenACardGoes(t *testing.T) {
	for at := range 14 {
		w := newCardWorld(t, vlan120(3*time.Second), 1)
		w.pod("a", nil)
		w.pass(4 * time.Second)
		w.gone("a")
		w.pass(time.Duration(at) * time.Second)
		w.pod("b", nil)
		w.pass(10 * time.Second)
		w.wants(1, 1, fmt.Sprintf("%d s after the first Pod", at))
		if w.on("b") == "" {
			t.Errorf("%d s after the first Pod: the second one waits", at)
		}
	}
}

func TestCardTroubleIsSaid(t *testing.T) {
	t.Run("no vCenter is known", func(t *testing.T) {
		w := newCardWorld(t, vlan120(time.Minute), 1)
		w.must(os.Remove(filepath.Join(w.login, "server")))
		w.pod("a", nil)
		w.pass(2 * time.Second)
		w.says("False VCenterLogin", "Secret tsunagu-vsphere")
		if got := w.r.Says([]string{"blue"}); len(got) != 1 || !strings.Contains(got[0], "tsunagu-vsphere") {
			t.Errorf("Pods are told %q", got)
		}
	})
	t.Run("the vCenter is away and comes back", func(t *testing.T) {
		w := newCardWorld(t, vlan120(time.Minute), 1)
		w.site.Stop()
		w.pod("a", nil)
		w.pass(3 * time.Second)
		w.says("False VCenterUnavailable")
		w.must(w.site.Resume())
		w.pass(30 * time.Second)
		w.wants(1, 1, "after it came back")
		w.says("True Usable")
	})
	t.Run("the port group is gone", func(t *testing.T) {
		w := newCardWorld(t, v1alpha1.PortGroup{Name: "vlan12"}, 1)
		w.pod("a", nil)
		w.pass(3 * time.Second)
		w.wants(0, 0, "without a port group")
		w.says("False PortGroupNotFound", "did you mean vlan120")
	})
	t.Run("the port group drops frames of Pods", func(t *testing.T) {
		w := newCardWorld(t, v1alpha1.PortGroup{Name: "strict"}, 1)
		w.pod("a", nil)
		w.pass(3 * time.Second)
		w.wants(0, 0, "on a strict port group")
		w.says("False PortGroupPolicy", "Forged transmits")
	})
	t.Run("the machine is full", func(t *testing.T) {
		w := newCardWorld(t, vlan120(time.Minute), 1)
		w.fill(0)
		w.pod("a", nil)
		w.pass(3 * time.Second)
		w.wants(0, 0, "on a machine that is full")
		w.says("False NetworkCardFailed", "node1", "has 10 network cards")
	})
	t.Run("the first machine is full", func(t *testing.T) {
		w := newCardWorld(t, vlan120(time.Minute), 2)
		w.fill(0)
		w.pod("a", nil)
		w.pass(8 * time.Second)
		w.wants(1, 1, "with another machine")
		if w.on("a") != "node2" {
			t.Errorf("the Pod is on %q", w.on("a"))
		}
	})
	t.Run("a privilege is missing", func(t *testing.T) {
		w := newCardWorld(t, vlan120(time.Minute), 1)
		w.site.Fail("ReconfigVM_Task", &types.NoPermission{PrivilegeId: "Network.Assign"}, 0)
		w.pod("a", nil)
		w.pass(3 * time.Second)
		w.says("False NetworkCardFailed", "Network.Assign")
	})
	t.Run("the guest never sees the card", func(t *testing.T) {
		w := newCardWorld(t, vlan120(time.Minute), 2)
		w.blind["node1"] = true
		w.pod("a", nil)
		w.pass(20 * time.Second)
		if got := w.r.Says([]string{"blue"}); len(got) != 1 || !strings.Contains(got[0], "has not found the network behind it yet") {
			t.Errorf("Pods are told %q", got)
		}
		w.pass(2 * time.Minute)
		w.wants(1, 1, "with another node")
		if w.on("a") != "node2" {
			t.Errorf("the Pod is on %q", w.on("a"))
		}
		w.says("did not find the network behind the card")
	})
}

// fill gives a machine the most cards that one can have.
func (w *cardWorld) fill(i int) {
	w.Helper()
	m := w.machines[i]
	for n := range 9 {
		devices, err := m.Object.Device(w.Context())
		w.must(err)
		f, err := w.site.Finder(w.Context())
		w.must(err)
		net, err := f.Network(w.Context(), "DC0_DVPG0")
		w.must(err)
		backing, err := net.EthernetCardBackingInfo(w.Context())
		w.must(err)
		card, err := devices.CreateEthernetCard("vmxnet3", backing)
		w.must(err)
		card.GetVirtualDevice().Key = int32(-100 - n)
		w.must(m.Object.AddDevice(w.Context(), card))
	}
}

// The node is one that takes the Pod, not just any.
func TestCardGoesToANodeThatTakesThePod(t *testing.T) {
	w := newCardWorld(t, vlan120(time.Minute), 3)
	var node corev1.Node
	w.must(w.Get(t.Context(), client.ObjectKey{Name: "node1"}, &node))
	node.Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
	w.must(w.Update(t.Context(), &node))
	w.pod("large", func(p *corev1.Pod) {
		p.Spec.NodeName = "node2"
		p.Annotations = nil
		p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3500m")}}}}
	})
	w.pod("a", func(p *corev1.Pod) {
		p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}}}
	})
	w.pass(6 * time.Second)
	w.wants(1, 1, "in the end")
	if len(w.has(2).Spec.Cards) != 1 {
		t.Error("node1 has a taint and node2 no room: the card belongs to node3")
	}
}

// A Network that is put on another port group moves: cards of the old one go
// when no Pod uses them.
func TestPortGroupIsChanged(t *testing.T) {
	w := newCardWorld(t, vlan120(5*time.Second), 1)
	w.pod("a", nil)
	w.pass(4 * time.Second)
	var n v1alpha1.Network
	w.must(w.Get(t.Context(), client.ObjectKey{Name: "blue"}, &n))
	n.Spec.Reach.PortGroup.Name = "trunk"
	w.must(w.Update(t.Context(), &n))
	w.pass(10 * time.Second)
	w.wants(1, 1, "while the Pod runs")
	w.gone("a")
	w.pass(20 * time.Second)
	w.wants(0, 0, "when it is gone")
	w.pod("b", nil)
	w.pass(5 * time.Second)
	w.wants(1, 1, "on the new port group")
	cards := w.site.Cards(w.machines[0])
	if last := cards[len(cards)-1]; last.PortGroup != "trunk" {
		t.Errorf("the card is on %q", last.PortGroup)
	}
}

// A card that the machine had before is used, and never taken away.
func TestCardOfTheMachineIsKept(t *testing.T) {
	w := newCardWorld(t, v1alpha1.PortGroup{Name: "DC0_DVPG0", IdleAfter: &metav1.Duration{}}, 1)
	before := w.site.Cards(w.machines[0])
	w.pod("a", nil)
	w.pass(5 * time.Second)
	if c := w.condition(); strings.Contains(c, "PortGroupPolicy") {
		t.Skip("the simulator's own port group forbids it: " + c)
	}
	w.wants(0, 1, "of a card that was there")
	w.gone("a")
	w.pass(30 * time.Second)
	after := w.site.Cards(w.machines[0])
	if len(after) != len(before) {
		t.Errorf("%d cards, %d before", len(after), len(before))
	}
}
