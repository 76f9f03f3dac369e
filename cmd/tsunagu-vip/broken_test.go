package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/viptest"
)

// Nothing of IPv4 is needed.
func TestIPv6Alone(t *testing.T) {
	x := newTrio(t, 3)
	w, err := x.Site.Watch(viptest.VIP6)
	must(t, err)
	defer w.Stop()
	own := func(i int) string { return fmt.Sprintf("fd77::%d", 11+i) }
	for i, n := range x.Nodes {
		must(t, viptest.Inside(n.NS, "ip -4 addr flush dev eth0"))
		x.start(n, "--address", viptest.VIP6.String(), "--node-address", own(i), "--peers", strings.Join([]string{own(0), own(1), own(2)}, ","))
	}
	first, ok := w.Answered(0, "", 10*time.Second)
	if !ok {
		t.Fatal("nobody answers")
	}
	x.settle()
	mark := w.Mark()
	for _, n := range x.Nodes {
		if n.Name == first {
			x.signal(n, syscall.SIGKILL)
		}
	}
	if _, ok := w.Answered(mark, first, 10*time.Second); !ok {
		t.Error("nobody answers after the owner was killed")
	}
	if d := w.Both(); d > 0 {
		t.Errorf("two nodes answered for %s", d)
	}
}

// A node with another secret is no member, says so, and harms nobody.
func TestAnotherSecret(t *testing.T) {
	x := newTrio(t, 3)
	odd := x.Nodes[2]
	other := filepath.Join(x.dir, "other.key")
	must(t, os.WriteFile(other, []byte("a secret of another cluster"), 0o600))
	peers := "10.77.0.11,10.77.0.12,10.77.0.13"
	x.start(x.Nodes[0], "--peers", peers)
	x.start(x.Nodes[1], "--peers", peers)
	x.start(odd, "--peers", peers, "--key-file", other)
	owner := x.answered(0, odd, 10*time.Second)
	mark := x.watch.Mark()
	until(t, "the odd one is told of", func() bool { return strings.Contains(x.said[owner.Name].String(), odd.IP.String()) })
	time.Sleep(time.Second)
	x.gap("a node with another secret", mark, barHand)
	if s, err := x.status(odd); err != nil || s.Owns || s.Owner != "" {
		t.Errorf("the node with another secret: %+v, %v", s, err)
	}
}

// A damaged list of members is refused with what to do, and the others go on; the list put right, the node is back.
func TestDamagedState(t *testing.T) {
	x := newTrio(t, 3)
	x.start(x.Nodes[0], "--first", "yes")
	x.start(x.Nodes[1], "--first", "no")
	x.start(x.Nodes[2], "--first", "no")
	x.answered(0, nil, 10*time.Second)
	x.settle()
	broken := x.Nodes[1]
	x.signal(broken, syscall.SIGKILL)
	list := filepath.Join(x.dir, broken.Name, "state", "members.json")
	good, err := os.ReadFile(list)
	must(t, err)
	mark := x.watch.Mark()
	for _, bad := range []string{"", "{", "\x00\x00\x00", `{"members":[]}`} {
		must(t, os.WriteFile(list, []byte(bad), 0o600))
		x.start(broken, "--first", "yes")
		until(t, fmt.Sprintf("with %q it ends", bad), x.procs[broken.Name].Ended)
		if said := x.said[broken.Name].String(); !strings.Contains(said, "it is damaged") || !strings.Contains(said, "restore it from another") {
			t.Errorf("with %q it says no word of what to do", bad)
		}
	}
	x.gap("a node whose list is damaged starts again and again", mark, barHand)
	must(t, os.WriteFile(list, good, 0o600))
	x.start(broken, "--first", "no")
	x.settle()
}
