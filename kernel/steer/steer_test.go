package steer_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/steer"
)

var steered4, steered6, plain = netip.MustParseAddr("10.9.0.100"), netip.MustParseAddr("fd09::100"), netip.MustParseAddr("10.9.0.1")

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A listener on all addresses goes on listening, and connections for two of them are
// led to another socket while that is on.
func TestSteer(t *testing.T) {
	name := fmt.Sprintf("tst-steer-%d", os.Getpid())
	ns, err := netns.Create(name)
	must(t, err)
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	var s *steer.Steer
	must(t, ns.Do(func() error {
		for _, c := range []string{"link set lo up", "addr add 10.9.0.1/32 dev lo", "addr add 10.9.0.100/32 dev lo", "addr add fd09::100/128 dev lo nodad"} {
			if out, err := exec.Command("sh", "-c", "ip "+c).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", c, err, out)
			}
		}
		l, err := net.Listen("tcp", ":6443")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go serve(l, "own")
		s, err = steer.New(6443, steered4, steered6)
		return err
	}))
	for _, l := range s.Listeners() {
		go serve(l, "other")
	}
	expect := func(when string, a netip.Addr, want string) {
		t.Helper()
		if by, at := ask(t, ns, netip.AddrPortFrom(a, 6443)); by != want || at != netip.AddrPortFrom(a, 6443).String() {
			t.Errorf("%s: %s is answered by %q as %s, want %q as itself", when, a, by, at, want)
		}
	}
	for round := range 2 {
		expect("off", steered4, "own")
		expect("off", steered6, "own")
		must(t, s.On())
		must(t, s.On()) // again does no harm
		expect("on", steered4, "other")
		expect("on", steered6, "other")
		expect("on", plain, "own")
		must(t, s.Off())
		if round == 0 {
			must(t, s.Off())
		}
	}
	must(t, s.On())
	s.Close()
	expect("closed", steered4, "own")
}

// serve says its name, and at which address it was asked.
func serve(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "%s %s\n", name, c.LocalAddr())
		c.Close()
	}
}

func ask(t *testing.T, ns *netns.Namespace, to netip.AddrPort) (by, at string) {
	t.Helper()
	must(t, ns.Do(func() error {
		c, err := net.DialTimeout("tcp", to.String(), time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = fmt.Fscan(bufio.NewReader(c), &by, &at)
		return err
	}))
	return by, at
}
