package kind

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// A Pod that takes another hardware address is not heard, and what it sends is counted; another Pod of the bridge without the option is.
func TestMACSpoofCheck(t *testing.T) {
	w := newWorld(t)
	a, b := w.pod(), w.pod()
	guarded := w.spec("bridge", `{"bridge":"br-s","uplink":"up1","macspoofchk":true}`)
	wa := w.wire(a, w.attach(a, "net1", guarded, "192.168.10.1/24", "fd00:10::1/64"))
	wb := w.wire(b, w.attach(b, "net1", w.spec("bridge", `{"bridge":"br-s","uplink":"up1"}`), "192.168.10.2/24"))
	w.reaches(a, w.outside[0], "192.168.10.254")
	w.reaches(a, w.outside[0], "fd00:10::fe")
	other, _ := net.ParseMAC("02:00:00:00:00:66")
	take := func(r Record, mac net.HardwareAddr) {
		t.Helper()
		pod := w.dial(a)
		if r.HostIf == wb[0].HostIf {
			pod = w.dial(b)
		}
		w.must(pod.Apply(link.Set(link.Change{Index: r.IfIndex, MAC: mac})))
	}
	take(wa[0], other)
	take(wb[0], other)
	if _, err := exchange(a, w.outside[0], "192.168.10.254"); err == nil {
		t.Error("a Pod with another's hardware address is heard")
	}
	w.reaches(b, w.outside[0], "192.168.10.254")
	out, err := exec.Command("nsenter", "--net="+w.node.Path(), "nft", "list", "table", "bridge", "tsunagu").CombinedOutput()
	if err != nil || strings.Contains(string(out), "packets 0") {
		t.Errorf("nothing was counted: %v\n%s", err, out)
	}
	if err := w.wirer.Check(context.Background(), a.Path(), wa); err == nil {
		t.Error("check says nothing about the other address")
	}
	own, _ := net.ParseMAC(wa[0].MAC)
	take(wa[0], own)
	w.reaches(a, w.outside[0], "192.168.10.254")

	// Somebody flushes the node's rules: Mend puts the guard back.
	if out, err := exec.Command("nsenter", "--net="+w.node.Path(), "nft", "flush", "ruleset").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, ok := errors.AsType[Mismatch](w.wirer.Check(context.Background(), a.Path(), wa)); !ok {
		t.Error("check does not miss the guard")
	}
	_, err = w.wirer.Mend(context.Background(), append(wa, wb...))
	w.must(err)
	w.must(w.wirer.Check(context.Background(), a.Path(), wa))
	w.unwire(a, wa)
	w.unwire(b, wb)
	if out, _ := exec.Command("nsenter", "--net="+w.node.Path(), "nft", "list", "ruleset").CombinedOutput(); len(out) != 0 {
		t.Errorf("left behind:\n%s", out)
	}
}

// enabledad finds a neighbour with the address before the Pod uses it.
func TestDetectDuplicates(t *testing.T) {
	w := newWorld(t)
	spec := w.spec("bridge", `{"bridge":"br-d","uplink":"up1","enabledad":true}`)
	p := w.pod()
	wired := w.wire(p, w.attach(p, "net1", spec, "fd00:10::5/64"))
	w.reaches(p, w.outside[0], "fd00:10::fe")
	w.unwire(p, wired)
	_, err := w.wirer.Wire(context.Background(), p.Path(), []Attachment{w.attach(p, "net1", spec, "fd00:10::fe/64")})
	if inUse, ok := errors.AsType[AddressInUse](err); !ok || !strings.Contains(inUse.Error(), "fd00:10::fe of interface net1 is in use") {
		t.Errorf("a duplicate: %v", err)
	}
	if left := w.links(p); len(left) != 0 {
		t.Errorf("left in the Pod: %v", left)
	}
}

// Interfaces of a Pod stand on each other in the order of its annotation, also when the lower one has the default route.
func TestLinkInContainer(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	wired := w.wire(p,
		w.attach(p, "net2", w.spec("macvlan", `{"linkInContainer":true}`), "10.66.0.2/24"),
		w.attach(p, "net1", w.spec("bridge", `{"bridge":"br-l","uplink":"up1"}`), "192.168.10.1/24"),
		w.attach(p, "net3", w.spec("macvlan", `{"linkInContainer":true,"master":"net1","mode":"private"}`), "10.67.0.3/24"),
		w.attach(p, "eth0", w.spec("pod", `{}`), "10.244.0.2/24"))
	if wired[0].Below != "eth0" || wired[2].Below != "net1" {
		t.Errorf("net2 stands on %s, net3 on %s", wired[0].Below, wired[2].Below)
	}
	w.must(w.wirer.Check(context.Background(), p.Path(), wired))
	w.reaches(p, w.outside[0], "192.168.10.254")
	w.unwire(p, wired)
	if left := w.links(p); len(left) != 0 {
		t.Errorf("left in the Pod: %v", left)
	}
}
