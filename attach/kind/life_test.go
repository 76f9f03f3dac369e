package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// everyKind is one Pod with an interface of each kind; n keeps the addresses of several Pods apart.
func everyKind(w *world, p *netns.Namespace, n int) []Attachment {
	w.Helper()
	ip := func(v4, v6 string) []string {
		return []string{fmt.Sprintf(v4, n/200, n%200+2), fmt.Sprintf(v6, n+2)}
	}
	as := []Attachment{
		w.attach(p, "lo", w.spec("loopback", `{}`)),
		w.attach(p, "eth0", w.spec("pod", `{}`), ip("10.244.%d.%d/16", "fd00:244::%x/64")...),
		w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`), fmt.Sprintf("192.168.%d.%d/16", 10+n/200, n%200+2), fmt.Sprintf("fd00:10::%x/64", n+2)),
		w.attach(p, "net2", w.spec("bridge", `{"bridge":"br-all","uplink":"up2","macspoofchk":true}`), ip("172.16.%d.%d/16", "fd00:11::%x/64")...),
		w.attach(p, "net3", w.spec("ptp", `{}`), ip("10.9.%d.%d/16 via 10.9.255.254", "fd00:9::%x/64 via fd00:9::ffff:1")...),
		w.attach(p, "net6", w.spec("macvlan", `{"master":"net3","linkInContainer":true}`), ip("10.12.%d.%d/16", "fd00:12::%x/64")...),
		w.attach(p, "net7", w.spec("tap", `{"multiQueue":true,"group":107}`), ip("10.13.%d.%d/16", "fd00:13::%x/64")...),
	}
	for i, kind := range moreKinds {
		as = append(as, w.attach(p, fmt.Sprintf("net%d", 20+i), w.spec(kind[0], strings.ReplaceAll(kind[1], "$N", strconv.Itoa(n+2))),
			ip(fmt.Sprintf("10.%d.%%d.%%d/16", 20+i), fmt.Sprintf("fd00:%d::%%x/64", 20+i))...))
	}
	return as
}

// moreKinds are types and configurations for kernels that have all modules; $N is another number for each Pod.
var moreKinds [][2]string

// device makes a pair of links on the node for a host-device; the other end is in the outside machine.
func (w *world) device(name string) {
	w.Helper()
	w.must(w.conn.Apply(link.NewVeth(link.End{Name: name, MTU: 1480}, link.End{Name: name, NS: w.outside[1]})))
	out := w.dial(w.outside[1])
	l, err := out.ByName(name)
	w.must(err)
	w.must(out.Apply(link.Up(name, l.Index)))
}

func TestHostDeviceGoesAndComesBack(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	w.device("dev0")
	before, err := w.conn.ByName("dev0")
	w.must(err)
	a := w.attach(p, "net1", w.spec("host-device", `{"device":"dev0","name":"x","ipam":{"type":"static"}}`), "10.5.0.2/24", "fd00:5::2/64")
	a.MTU, a.MAC = 1400, net.HardwareAddr{2, 0, 0, 0, 0, 9}
	wired := w.wire(p, a)
	if wired[0].MAC != "02:00:00:00:00:09" || wired[0].MTU != 1400 || wired[0].Device.Name != "dev0" {
		t.Errorf("wired as %+v", wired[0])
	}
	w.must(w.wirer.Check(context.Background(), p.Path(), wired))
	again := w.wire(p, a) // as after a crash
	if again[0].IfIndex != wired[0].IfIndex {
		t.Error("second Wire has moved the device again")
	}
	// The Pod renames it and changes what it likes.
	c := w.dial(p)
	no := false
	w.must(c.Apply(
		link.Set(link.Change{Index: wired[0].IfIndex, Up: &no}),
		link.Set(link.Change{Index: wired[0].IfIndex, Name: "mine", MTU: 1300})))
	w.unwire(p, nil) // even without a record
	after, err := w.conn.ByName("dev0")
	w.must(err)
	after.Carrier, before.Carrier = false, false
	before.Index = after.Index
	if !reflect.DeepEqual(before, after) {
		t.Errorf("device came back as %+v, was %+v", after, before)
	}
}

func TestHostDeviceRefusals(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	w.device("dev0")
	l, err := w.conn.ByName("dev0")
	w.must(err)
	w.must(w.conn.Apply(link.AddAddress("dev0", l.Index, netip.MustParsePrefix("10.5.0.1/24"), link.AddressOptions{})))
	wire := func(config string) error {
		_, err := w.wirer.Wire(context.Background(), p.Path(), []Attachment{w.attach(p, "net1", w.spec("host-device", config))})
		return err
	}
	if busy, ok := errors.AsType[DeviceBusy](wire(`{"device":"dev0"}`)); !ok || !strings.Contains(busy.Error(), "10.5.0.1/24") {
		t.Errorf("a device with the node's address was not refused: %v", busy)
	}
	w.must(w.conn.Apply(link.DeleteAddress("dev0", l.Index, netip.MustParsePrefix("10.5.0.1/24")),
		link.AddRoute("dev0", link.Route{Index: l.Index, Dst: defaults[0]})))
	if _, ok := errors.AsType[DeviceBusy](wire(`{"device":"dev0"}`)); !ok {
		t.Error("a device with the node's default route was not refused")
	}
	for _, config := range []string{`{"device":"dev1"}`, `{"pciBusID":"0000:ff:1f.7"}`, `{"kernelpath":"/sys/devices/none"}`, `{"hwaddr":"02:00:00:aa:bb:cc"}`} {
		missing, ok := errors.AsType[NoUplink](wire(config))
		if !ok || len(missing.Have) == 0 {
			t.Errorf("%s: %v", config, missing)
		} else if config == `{"device":"dev1"}` && missing.Have[0] != "dev0" {
			t.Errorf("near names come first, have %v", missing.Have)
		}
	}
	if left := w.links(p); len(left) != 0 {
		t.Errorf("left in the pod: %v", left)
	}
}

func TestWireTwiceKeepsWhatIsComplete(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	as := everyKind(w, p, 0)
	first := w.wire(p, as...)
	second := w.wire(p, as...)
	for i := range first {
		if !reflect.DeepEqual(first[i], second[i]) {
			t.Errorf("%s: first %+v, then %+v", as[i].IfName, first[i], second[i])
		}
	}
	b, err := json.Marshal(first)
	w.must(err)
	var read []Record
	w.must(json.Unmarshal(b, &read))
	w.must(w.wirer.Check(context.Background(), p.Path(), read))
}

func TestWireReplacesLeftovers(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	as := everyKind(w, p, 0)
	c := w.dial(p)
	for i := range as {
		if as[i].IfName == "lo" {
			continue
		}
		// An attempt that came as far as making the links, or lost the Pod's end, or put on another address.
		w.wire(p, as...)
		l, err := c.ByName(as[i].IfName)
		w.must(err)
		switch i % 2 {
		case 0:
			w.must(c.Apply(link.DeleteAddress(l.Name, l.Index, as[i].Addresses[0].Prefix).Forgiving(), link.DeleteAddress(l.Name, l.Index, host(as[i].Addresses[0].Prefix)).Forgiving()))
		case 1:
			other := w.pod()
			w.must(c.Apply(link.Set(link.Change{Index: l.Index, NS: other})))
		}
		wired := w.wire(p, as...)
		w.must(w.wirer.Check(context.Background(), p.Path(), wired))
	}
	w.reaches(p, w.outside[0], "192.168.10.254")
}

func TestNameTaken(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	w.must(w.conn.Apply(link.NewVeth(link.End{Name: "foreign"}, link.End{Name: "net1", NS: p})))
	for _, as := range [][]Attachment{
		{w.attach(p, "eth0", w.spec("pod", `{}`), "10.244.0.2/24"), w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`))},
		{w.attach(p, "net1", w.spec("bridge", `{"bridge":"br-x"}`))},
		{w.attach(p, "net1", w.spec("host-device", `{"device":"up2"}`))},
		{w.attach(p, "net2", w.spec("bridge", `{}`)), w.attach(p, "net2", w.spec("bridge", `{}`))},
		{w.attach(p, "lo", w.spec("bridge", `{}`))},
	} {
		_, err := w.wirer.Wire(context.Background(), p.Path(), as)
		if _, ok := errors.AsType[NameTaken](err); !ok {
			t.Errorf("%s: %v", as[0].Spec.Type(), err)
		}
	}
	if got := w.links(w.node); !slices.Equal(got, []string{"up1", "up2", "foreign"}) {
		t.Errorf("left on the node: %v", got)
	}
	if got := w.links(p); !slices.Equal(got, []string{"net1"}) {
		t.Errorf("left in the pod: %v", got)
	}
}

// A name inside a Pod has nothing to do with names on the node.
func TestNodeMayHaveTheSameName(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	for _, name := range []string{"eth0", "net1", "net2"} {
		w.must(w.conn.Apply(link.NewVeth(link.End{Name: name}, link.End{Name: "x" + name})))
	}
	wired := w.wire(p,
		w.attach(p, "eth0", w.spec("pod", `{}`), "10.244.0.2/24"),
		w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`), "192.168.10.1/24"),
		w.attach(p, "net2", w.spec("bridge", `{"bridge":"br-b","uplink":"up2"}`), "192.168.11.1/24"))
	w.must(w.wirer.Check(context.Background(), p.Path(), wired))
	w.reaches(p, w.outside[0], "192.168.10.254")
	w.reaches(p, w.outside[1], "192.168.11.254")
}

// Two networks on one uplink may use one range; their hardware addresses must differ all the same.
func TestSameAddressTwiceOnOneUplink(t *testing.T) {
	w := newWorld(t)
	a, b := w.pod(), w.pod()
	spec := w.spec("macvlan", `{"master":"up1"}`)
	wa := w.wire(a, w.attach(a, "net1", spec, "192.168.10.1/24"))
	wb := w.wire(b, w.attach(b, "net1", spec, "192.168.10.1/24"))
	if wa[0].MAC == wb[0].MAC {
		t.Errorf("both have %s", wa[0].MAC)
	}
	c := w.pod()
	asked := w.attach(c, "net1", spec, "192.168.10.3/24")
	asked.MAC, _ = net.ParseMAC(wa[0].MAC)
	if _, err := w.wirer.Wire(context.Background(), c.Path(), []Attachment{asked}); err == nil {
		t.Error("a MAC in use was given twice")
	} else if refusal, ok := errors.AsType[Conflict](err); !ok {
		t.Errorf("not a Conflict: %v", err)
	} else if !strings.Contains(refusal.Error(), wa[0].MAC) {
		t.Error(refusal)
	}
}

func TestRollbackAtEveryStep(t *testing.T) {
	w := newWorld(t)
	w.device("dev0")
	had, hadRoutes := w.links(w.node), w.routes()
	injected := errors.New("injected")
	for _, step := range []string{"enter", "prepare", "create", "observe", "probe", "configure", "finish", "announce"} {
		p := w.pod()
		as := append(everyKind(w, p, 0), w.attach(p, "net4", w.spec("host-device", `{"device":"dev0"}`), "10.5.0.2/24"))
		hit := false
		w.wirer.fault = func(s string) error {
			if s == step {
				hit = true
				return injected
			}
			return nil
		}
		if _, err := w.wirer.Wire(context.Background(), p.Path(), as); !errors.Is(err, injected) {
			t.Fatalf("%s: %v", step, err)
		}
		w.wirer.fault = nil
		if !hit {
			t.Fatalf("no step %s", step)
		}
		got := w.links(w.node)
		slices.Sort(had)
		slices.Sort(got)
		if !slices.Equal(got, had) {
			t.Errorf("after %s on the node: %v, had %v", step, got, had)
		}
		if got := w.routes(); got != hadRoutes {
			t.Errorf("after %s: %d routes on the node, had %d", step, got, hadRoutes)
		}
		if left := w.links(p); len(left) != 0 {
			t.Errorf("after %s left in the pod: %v", step, left)
		}
		p.Do(func() error {
			if ra := link.ReadHere("ipv6/conf/default/accept_ra"); ra != "1" {
				t.Errorf("after %s accept_ra is left at %q", step, ra)
			}
			return nil
		})
	}
}

func (w *world) routes() int {
	w.Helper()
	all, err := w.conn.Routes()
	w.must(err)
	return len(slices.DeleteFunc(all, func(r link.Route) bool { return r.Dst.Addr().IsLinkLocalUnicast() }))
}

func TestCheckNamesTheFirstDifference(t *testing.T) {
	w := newWorld(t)
	no := false
	var p *netns.Namespace
	for name, c := range map[string]struct {
		ifName string
		damage func(pod *link.Conn, in link.Link, r Record) error
		want   string
	}{
		"gone": {"net1", func(c *link.Conn, l link.Link, _ Record) error { return c.Apply(link.Delete("net1")) }, "missing"},
		"down": {"net1", func(c *link.Conn, l link.Link, _ Record) error {
			return c.Apply(link.Set(link.Change{Index: l.Index, Up: &no}))
		}, "down"},
		"mtu": {"net3", func(c *link.Conn, l link.Link, _ Record) error {
			return c.Apply(link.Set(link.Change{Index: l.Index, MTU: 1280}))
		}, "1280"},
		"mac": {"net2", func(c *link.Conn, l link.Link, _ Record) error {
			return c.Apply(link.Set(link.Change{Index: l.Index, MAC: keyMAC("a", "b")}))
		}, "MAC"},
		"address": {"eth0", func(c *link.Conn, l link.Link, r Record) error {
			return c.Apply(link.DeleteAddress("eth0", l.Index, r.Addresses[0].Prefix))
		}, "10.244.0.2/32"},
		"route": {"eth0", func(c *link.Conn, l link.Link, r Record) error {
			return c.Apply(link.DeleteRoute("eth0", link.Route{Index: l.Index, Dst: defaults[1]}))
		}, "::/0"},
		"node route": {"eth0", func(_ *link.Conn, _ link.Link, r Record) error {
			end, err := w.conn.ByName(r.HostIf)
			return errors.Join(err, w.conn.Apply(link.DeleteRoute(r.HostIf, link.Route{Index: end.Index, Dst: r.HostRoutes[0]})))
		}, "node's route"},
		"guard": {"net2", func(_ *link.Conn, _ link.Link, r Record) error { return w.wirer.guard.Forget(r.HostIf) }, "MAC spoof check"},
		"hairpin": {"net2", func(_ *link.Conn, _ link.Link, r Record) error {
			end, err := w.conn.ByName(r.HostIf)
			return errors.Join(err, w.conn.Apply(link.SetPort(r.HostIf, end.Index, link.PortOptions{Hairpin: true})))
		}, "hairpin mode"},
		"isolation": {"net2", func(_ *link.Conn, _ link.Link, r Record) error {
			end, err := w.conn.ByName(r.HostIf)
			return errors.Join(err, w.conn.Apply(link.SetPort(r.HostIf, end.Index, link.PortOptions{Isolated: true})))
		}, "isolation"},
		"another kind": {"net7", func(c *link.Conn, l link.Link, _ Record) error {
			return c.Apply(link.Delete("net7"), link.NewVeth(link.End{Name: "net7", MAC: l.MAC, MTU: l.MTU}, link.End{Name: "x7"}))
		}, "kind of link is veth"},
		"mode": {"net1", func(c *link.Conn, l link.Link, _ Record) error {
			up1, err := w.conn.ByName("up1")
			return errors.Join(err, c.Apply(link.Delete("net1")),
				w.conn.Apply(link.NewMacvlan(link.End{Name: "net1", MAC: l.MAC, MTU: l.MTU, NS: p}, link.Macvlan{Parent: up1.Index, Mode: "private"})))
		}, "mode is private"},
		"bridge": {"net2", func(_ *link.Conn, _ link.Link, r Record) error {
			end, err := w.conn.ByName(r.HostIf)
			none := 0
			return errors.Join(err, w.conn.Apply(link.Set(link.Change{Index: end.Index, Master: &none})))
		}, "br-all"},
	} {
		t.Run(name, func(t *testing.T) {
			p = w.pod()
			wired := w.wire(p, everyKind(w, p, 0)...)
			w.must(w.wirer.Check(context.Background(), p.Path(), wired))
			pod := w.dial(p)
			l, err := pod.ByName(c.ifName)
			w.must(err)
			r := wired[slices.IndexFunc(wired, func(r Record) bool { return r.IfName == c.ifName })]
			w.must(c.damage(pod, l, r))
			err = w.wirer.Check(context.Background(), p.Path(), wired)
			m, ok := errors.AsType[Mismatch](err)
			if !ok || m.IfName != c.ifName || !strings.Contains(m.Error(), c.want) {
				t.Errorf("check says %v", err)
			}
			w.unwire(p, wired)
		})
	}
}

func TestNamespaceGone(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	wired := w.wire(p, everyKind(w, p, 0)...)
	keep := w.dial(p) // the namespace lives on in a socket, its path does not
	_ = keep
	w.must(netns.Delete(p.Path()[len(netns.Dir)+1:]))
	w.unwire(p, wired)
	if got := w.links(w.node); !slices.Equal(got, []string{"up1", "up2"}) {
		t.Errorf("left on the node: %v", got)
	}
	_, err := w.wirer.Wire(context.Background(), p.Path(), everyKind(w, p, 0))
	if _, ok := errors.AsType[NoNamespace](err); !ok {
		t.Errorf("wire: %v", err)
	}
	file := t.TempDir() + "/netns"
	w.must(os.WriteFile(file, nil, 0o600))
	w.must(w.wirer.Unwire(context.Background(), file, wired))
	w.must(w.wirer.Unwire(context.Background(), "", wired))
	if err := w.wirer.Unwire(context.Background(), w.node.Path(), wired); err == nil {
		t.Error("the node itself was unwired")
	}
}

func TestOrphans(t *testing.T) {
	w := newWorld(t)
	w.device("dev0")
	a, b := w.pod(), w.pod()
	wa, wb := w.wire(a, everyKind(w, a, 0)...), w.wire(b, everyKind(w, b, 1)...)
	orphans, err := w.wirer.Orphans(context.Background(), append(slices.Clone(wa), wb...))
	w.must(err)
	if len(orphans) != 0 {
		t.Errorf("everything has an owner, and yet %v", orphans)
	}
	c := w.pod()
	w.wire(c, w.attach(c, "net1", w.spec("host-device", `{"device":"dev0"}`)))
	// The Pod's end came back by itself, as hardware does when a namespace ends.
	pc := w.dial(c)
	l, err := pc.ByName("net1")
	w.must(err)
	w.must(pc.Apply(link.Set(link.Change{Index: l.Index, NS: w.node})))
	orphans, err = w.wirer.Orphans(context.Background(), wa)
	w.must(err)
	kinds := map[string]int{}
	for _, o := range orphans {
		kinds[o.Kind]++
	}
	if !reflect.DeepEqual(kinds, map[string]int{"veth": 3, "host-device": 1}) {
		t.Errorf("orphans %v", orphans)
	}
	w.must(w.wirer.Remove(context.Background(), orphans))
	w.must(w.wirer.Check(context.Background(), a.Path(), wa))
	orphans, err = w.wirer.Orphans(context.Background(), nil)
	w.must(err)
	w.must(w.wirer.Remove(context.Background(), orphans))
	w.must(w.wirer.Remove(context.Background(), orphans))
	if orphans, err = w.wirer.Orphans(context.Background(), nil); err != nil || len(orphans) != 1 || orphans[0].Kind != "bridge" {
		t.Errorf("the bridge is without Pods, orphans are %v, %v", orphans, err)
	}
	w.must(w.wirer.Remove(context.Background(), orphans))
	got := w.links(w.node)
	slices.Sort(got)
	if !slices.Equal(got, []string{"dev0", "up1", "up2"}) {
		t.Errorf("left on the node: %v", got)
	}
}

func TestParallel(t *testing.T) {
	w := newWorld(t)
	pods, rounds := 50, 3
	if os.Getenv("TSUNAGU_VM") == "1" {
		pods, rounds = 10, 2 // an emulated machine takes ten times as long
	}
	namespaces := make([]*netns.Namespace, pods)
	for i := range namespaces {
		namespaces[i] = w.pod()
	}
	var wg sync.WaitGroup
	for i, p := range namespaces {
		wg.Go(func() {
			for range rounds {
				as := everyKind(w, p, i)
				wired, err := w.wirer.Wire(context.Background(), p.Path(), as)
				if err != nil {
					t.Errorf("wire %d: %v", i, err)
					return
				}
				if err := w.wirer.Check(context.Background(), p.Path(), wired); err != nil {
					t.Errorf("check %d: %v", i, err)
				}
				if err := w.wirer.Unwire(context.Background(), p.Path(), wired); err != nil {
					t.Errorf("unwire %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if got := w.links(w.node); !slices.Equal(got, []string{"up1", "up2"}) {
		t.Errorf("left on the node: %v", got)
	}
}

func TestManyCyclesLeaveNothing(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	as := everyKind(w, p, 0)
	routes := w.routes()
	files := openFiles(t)
	for range 200 {
		w.unwire(p, w.wire(p, as...))
		// The address may be given to the next Pod now, so the route to the old one must be gone already.
		if got := w.routes(); got != routes {
			t.Fatalf("%d routes right after Unwire, had %d", got, routes)
		}
	}
	w.wirer.tasks.Wait()
	if got := w.links(w.node); !slices.Equal(got, []string{"up1", "up2"}) {
		t.Errorf("left on the node: %v", got)
	}
	if got := w.routes(); got != routes {
		t.Errorf("%d routes, had %d", got, routes)
	}
	neighbours, err := w.conn.Neighbours()
	w.must(err)
	for _, n := range neighbours {
		if n.Permanent && !n.IP.IsMulticast() && n.IP.IsPrivate() {
			t.Errorf("left neighbour %v", n)
		}
	}
	if got := openFiles(t); got > files+idleSockets {
		t.Errorf("%d open files, had %d", got, files)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// An address that goes to another Pod is known at its new place at once, although the machine outside has it in its cache.
func TestAddressUsedAgain(t *testing.T) {
	w := newWorld(t)
	for _, config := range []struct{ typ, json string }{{"macvlan", `{"master":"up1"}`}, {"bridge", `{"bridge":"br-r","uplink":"up1"}`}} {
		a, b := w.pod(), w.pod()
		spec := w.spec(config.typ, config.json)
		first := w.attach(a, "net1", spec, "192.168.10.7/24", "fd00:10::7/64")
		first.MAC, _ = net.ParseMAC("02:00:00:00:00:0a")
		wa := w.wire(a, first)
		w.reaches(a, w.outside[0], "192.168.10.254")
		w.reaches(a, w.outside[0], "fd00:10::fe")
		w.unwire(a, wa)
		second := first
		second.ContainerID = b.Path()
		second.MAC, _ = net.ParseMAC("02:00:00:00:00:0b")
		wb := w.wire(b, second)
		out := w.dial(w.outside[0])
		deadline := time.Now().Add(2 * time.Second)
		for _, ip := range []string{"192.168.10.7", "fd00:10::7"} {
			for {
				neighbours, err := out.Neighbours()
				w.must(err)
				i := slices.IndexFunc(neighbours, func(n link.Neighbour) bool { return n.IP == netip.MustParseAddr(ip) })
				if i >= 0 && bytes.Equal(neighbours[i].MAC, second.MAC) {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s: the machine outside still has %s at %v", config.typ, ip, neighbours)
				}
				time.Sleep(time.Millisecond)
			}
		}
		w.unwire(b, wb)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	up1, err := w.conn.ByName("up1")
	w.must(err)
	w.must(w.conn.Apply(link.NewBridge(link.End{Name: "foreign"}), link.NewVeth(link.End{Name: "taken"}, link.End{Name: "taken2"})))
	br, err := w.conn.ByName("foreign")
	w.must(err)
	taken, err := w.conn.ByName("taken")
	w.must(err)
	w.must(w.conn.Apply(link.Set(link.Change{Index: taken.Index, Master: &br.Index}),
		link.AddAddress("up1", up1.Index, netip.MustParsePrefix("192.168.10.250/24"), link.AddressOptions{})))
	outside := w.attach(p, "net1", w.spec("macvlan", `{"master":"up2"}`), "192.168.11.1/24")
	outside.DefaultRoute = []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	two := []Attachment{w.attach(p, "eth0", w.spec("pod", `{}`), "10.244.0.2/24"), w.attach(p, "net1", w.spec("macvlan", `{"master":"up2"}`), "192.168.11.1/24")}
	two[1].DefaultRoute = []netip.Addr{netip.MustParseAddr("192.168.11.254")}
	for name, c := range map[string]struct {
		as     []Attachment
		reason string
		says   string
	}{
		"no such uplink":             {[]Attachment{w.attach(p, "net1", w.spec("macvlan", `{"master":"up11"}`))}, "NoUplink", `no interface "up11"; interfaces here: up1, up2`},
		"no default route":           {[]Attachment{w.attach(p, "net1", w.spec("macvlan", `{}`))}, "NoUplink", "no default route"},
		"mtu":                        {[]Attachment{w.attach(p, "net1", w.spec("macvlan", `{"master":"up2","mtu":9000}`))}, "InvalidConfig", "more than the 1500 of up2"},
		"passthru mac":               {[]Attachment{{ContainerID: "c", IfName: "net1", Spec: w.spec("macvlan", `{"master":"up2","mode":"passthru","mac":"02:00:00:00:00:01"}`)}}, "InvalidConfig", "passthru"},
		"bridge uplink with address": {[]Attachment{w.attach(p, "net1", w.spec("bridge", `{"bridge":"br-n","uplink":"up1"}`))}, "DeviceBusy", "192.168.10.250/24"},
		"bridge uplink taken":        {[]Attachment{w.attach(p, "net1", w.spec("bridge", `{"bridge":"br-n","uplink":"taken"}`))}, "DeviceBusy", "belongs to foreign"},
		"bridge is no bridge":        {[]Attachment{w.attach(p, "net1", w.spec("bridge", `{"bridge":"up2"}`))}, "Conflict", "is no bridge"},
		"macvlan on a port":          {[]Attachment{w.attach(p, "net1", w.spec("macvlan", `{"master":"taken"}`))}, "DeviceBusy", "belongs to foreign"},
		"gateway outside":            {[]Attachment{outside}, "InvalidConfig", "in no subnet"},
		"two ways out":               {two, "InvalidConfig", "both"},
		"bridge without gateway":     {[]Attachment{w.attach(p, "net1", w.spec("bridge", `{"isGateway":true}`), "10.0.0.2/32")}, "InvalidConfig", "gateway"},
		"bridge gateway itself":      {[]Attachment{w.attach(p, "net1", w.spec("bridge", `{"isGateway":true}`), "10.0.0.1/24")}, "InvalidConfig", "10.0.0.1 is the gateway of its subnet"},
		"bridge down with address":   {[]Attachment{w.attach(p, "net1", w.spec("bridge", `{"disableContainerInterface":true}`), "10.0.0.2/24")}, "InvalidConfig", "cannot use IPAM"},
		"dummy without address":      {[]Attachment{w.attach(p, "net1", w.spec("dummy", `{}`))}, "InvalidConfig", "requires an IPAM"},
		"ipvlan with a MAC":          {[]Attachment{{ContainerID: "c", IfName: "net1", Spec: w.spec("ipvlan", `{"master":"up2"}`), MAC: keyMAC("a", "b")}}, "InvalidConfig", "shares the hardware address"},
		"vlan mtu":                   {[]Attachment{w.attach(p, "net1", w.spec("vlan", `{"master":"up2","vlanId":5,"mtu":9000}`))}, "InvalidConfig", "more than the 1500 of up2"},
		"no such link in the Pod":    {[]Attachment{w.attach(p, "net1", w.spec("macvlan", `{"master":"eth7","linkInContainer":true}`))}, "NoUplink", `the Pod has no interface "eth7"`},
		"no way out of the Pod":      {[]Attachment{w.attach(p, "net1", w.spec("macvlan", `{"linkInContainer":true}`))}, "NoUplink", "no default route"},
		"no bridge in the Pod":       {[]Attachment{w.attach(p, "net1", w.spec("tap", `{"bridge":"br9"}`))}, "InvalidConfig", "the Pod has no bridge br9"},
		"pod without address":        {[]Attachment{w.attach(p, "eth0", w.spec("pod", `{}`))}, "InvalidConfig", "address"},
	} {
		_, err := w.wirer.Wire(context.Background(), p.Path(), c.as)
		refusal, ok := errors.AsType[Refusal](err)
		if !ok || refusal.Reason() != c.reason || !strings.Contains(err.Error(), c.says) || refusal.Fix() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	got := w.links(w.node)
	if slices.Contains(got, "br-n") || slices.Contains(got, "cni0") || len(w.links(p)) != 0 {
		t.Errorf("left behind: %v and %v", got, w.links(p))
	}
}

func TestInterfaceWithoutAddresses(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	w.wire(p, w.attach(p, "eth0", w.spec("pod", `{}`), "10.244.0.2/24"), w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`)))
	for name, want := range map[string]string{"eth0": "0", "net1": "1", "default": "1"} {
		w.must(p.Do(func() error {
			if got := link.ReadHere("ipv6/conf/" + name + "/accept_ra"); got != want {
				t.Errorf("accept_ra of %s is %s, want %s", name, got, want)
			}
			return nil
		}))
	}
}

func TestDisabledIPv6(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	w.must(p.Do(func() error { return link.WriteHere("ipv6/conf/all/disable_ipv6", "1") }))
	w.wire(p, w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`), "fd00:10::5/64"))
	w.reaches(p, w.outside[0], "fd00:10::fe")
}

// TestAsTheProcessItself uses no namespace for the node but the process's own, read only.
func TestAsTheProcessItself(t *testing.T) {
	w, err := New("", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Orphans(context.Background(), nil); err != nil {
		t.Error(err)
	}
	if err := w.Unwire(context.Background(), "/proc/self/ns/net", nil); err == nil {
		t.Error("the node itself was unwired")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}
