package wiring

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The main thread stays where it is: what it sees is what /proc/self shows.
func TestMainThreadStays(t *testing.T) {
	main := unix.Getpid()
	for range 200 {
		if err := OnThread(func() error {
			if unix.Gettid() == main {
				t.Error("the main thread was given away")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// Namespace tier: iproute2 and the lab use one directory; whoever comes first,
// each must be able to remove its own.
func TestBesideIPRoute2(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root to create network namespaces")
	}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	for _, n := range []string{"tlbeside-a", "tlbeside-b", "tlbeside-c"} {
		if err := DeleteNamespace(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := CreateNamespace("tlbeside-a"); err != nil {
		t.Fatal(err)
	}
	ip("netns", "add", "tlbeside-b")
	if err := CreateNamespace("tlbeside-c"); err != nil {
		t.Fatal(err)
	}
	ip("netns", "exec", "tlbeside-c", "true")
	for _, n := range []string{"tlbeside-a", "tlbeside-b", "tlbeside-c"} {
		if err := DeleteNamespace(n); err != nil {
			t.Error(err)
		}
		if Exists(n) {
			t.Errorf("%s is still there", n)
		}
	}
	TidyUp()
}

// Namespace tier: two machines on one segment reach each other until the plug
// of one is pulled.
func TestTwoMachinesOnASwitch(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root to create network namespaces")
	}
	names := []string{"tlwire-switch", "tlwire-a", "tlwire-b"}
	t.Cleanup(func() {
		for _, n := range names {
			if err := DeleteNamespace(n); err != nil {
				t.Error(err)
			}
			if Exists(n) {
				t.Errorf("namespace %s is still there", n)
			}
		}
		TidyUp()
	})
	sw := Switch{Namespace: names[0]}
	if err := sw.Create([]string{"eth0", "up1"}); err != nil {
		t.Fatal(err)
	}
	if err := sw.Create([]string{"eth0", "up1"}); err != nil {
		t.Fatalf("creating the switch again: %v", err)
	}
	addr := []string{"", "172.30.250.11/24", "172.30.250.12/24"}
	for i, m := range []string{"", "a", "b"} {
		if m == "" {
			continue
		}
		if err := CreateNamespace(names[i]); err != nil {
			t.Fatal(err)
		}
		if err := Machine(names[i], nil); err != nil {
			t.Fatal(err)
		}
		for range 2 { // plugging again makes the port anew
			if err := sw.Plug(Port{Machine: m, Namespace: names[i], Segment: "eth0",
				MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(i)}, Addresses: []netip.Prefix{netip.MustParsePrefix(addr[i])}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := sw.Plug(Port{Machine: m, Namespace: names[i], Segment: "up1", Bare: true}); err != nil {
			t.Fatal(err)
		}
	}

	var ln net.Listener
	if err := In(names[2], func() (err error) { ln, err = net.Listen("tcp4", "172.30.250.12:7"); return }); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dial := func() error {
		return In(names[1], func() error {
			c, err := net.DialTimeout("tcp4", "172.30.250.12:7", time.Second)
			if err == nil {
				c.Close()
			}
			return err
		})
	}
	if err := dial(); err != nil {
		t.Errorf("a does not reach b: %v", err)
	}
	err := In(names[1], func() error {
		up, err := netlink.LinkByName("up1")
		if err != nil {
			return err
		}
		addrs, err := netlink.AddrList(up, netlink.FAMILY_ALL)
		if len(addrs) != 0 {
			t.Errorf("bare uplink has addresses: %v", addrs)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := sw.SetPort("b", "eth0", false); err != nil {
		t.Fatal(err)
	}
	if err := dial(); err == nil {
		t.Error("a reaches b although b's plug is pulled")
	}
	if err := sw.SetPort("b", "eth0", true); err != nil {
		t.Fatal(err)
	}
	// The bridge takes a port back a moment after its carrier is there.
	var back error
	for range 10 {
		if back = dial(); back == nil {
			break
		}
	}
	if back != nil {
		t.Errorf("a does not reach b after the plug is back: %v", back)
	}
}
