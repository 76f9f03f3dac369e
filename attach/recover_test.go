package attach

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// inhabited makes a node with two Pods on the pod network and on "lan".
func inhabited(t *testing.T) (s *street, pods []*sandbox) {
	t.Helper()
	s = newStreet(t, lanPool("192.168.10.0/28"))
	for _, name := range []string{"first", "second"} {
		p := s.pod(name, "lan")
		p.add()
		pods = append(pods, p)
	}
	s.settled()
	return s, pods
}

// has are all addresses of sandboxes, each once.
func (s *street) has(pods ...*sandbox) map[string]string {
	s.Helper()
	who := map[string]string{}
	for _, p := range pods {
		for _, all := range p.interfaces() {
			for _, a := range all {
				a, _, _ = strings.Cut(a, "/")
				if other := who[a]; other != "" {
					s.Errorf("%s and %s have %s", other, p.pod, a)
				}
				who[a] = p.pod.String()
			}
		}
	}
	return who
}

// P19: the log of addresses is lost while Pods run. Their addresses are given to nobody else, and are freed with them.
func TestP19AddressLogIsLost(t *testing.T) {
	s, pods := inhabited(t)
	s.stop()
	s.addresses.Lose()
	s.lost = true
	s.boot()
	if held := s.allocator.Held(); len(held) != 4 {
		t.Errorf("held are %+v", held)
	}
	for _, name := range []string{"third", "fourth"} {
		p := s.pod(name, "lan")
		p.add()
		pods = append(pods, p)
	}
	s.has(pods...)
	for _, p := range pods {
		p.ok("DEL")
	}
	s.clean()
}

// P19: both logs are lost. What lives is found by its interfaces, on every network, and is freed with its sandbox, under whatever name
// the runtime deletes it.
func TestP19BothLogsAreLost(t *testing.T) {
	s, pods := inhabited(t)
	s.stop()
	s.addresses.Lose()
	s.notes.Lose()
	s.lost = true
	s.boot()
	for _, name := range []string{"third", "fourth", "fifth"} {
		p := s.pod(name, "lan")
		p.add()
		pods = append(pods, p)
	}
	who := s.has(pods...)
	if len(who) != 3*len(pods) {
		t.Errorf("%d addresses, want %d: %v", len(who), 3*len(pods), who)
	}
	wanted := s.pod("wanted", `[{"name":"lan","ips":["192.168.10.1"]}]`)
	if e := wanted.call("ADD").failure(t); !strings.HasPrefix(e.Details, "AddressTaken") {
		t.Errorf("refused with %+v", e)
	}
	first := pods[0].interfaces()
	for _, p := range pods {
		p.ok("DEL")
	}
	s.clean()
	// The address is given out again, as soon as its block is whole.
	var got []string
	for range 100 {
		if r := wanted.call("ADD"); r.code == 0 {
			got = wanted.interfaces()["net1"]
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !slices.Equal(got, first["net1"]) {
		t.Errorf("got %v, want %v", got, first["net1"])
	}
}

// P19: the agent is killed once more after the log of sandboxes was lost. What it knew from the interfaces it knows again: Pods keep their
// links, however long they run, and what they had goes with them.
func TestP19AgentIsKilledAgainAfterTheLogIsLost(t *testing.T) {
	for _, lost := range []string{"sandboxes", "both"} {
		t.Run(lost, func(t *testing.T) {
			s, pods := inhabited(t)
			s.stop()
			s.notes.Lose()
			if lost == "both" {
				s.addresses.Lose()
			}
			s.lost = true
			s.boot()
			sweep := func() {
				for range 3 {
					for what := range s.server.suspects {
						s.server.suspects[what] = time.Now().Add(-time.Hour)
					}
					s.must(s.server.Sweep(t.Context()))
				}
			}
			before := s.has(pods...)
			for range 2 {
				s.stop()
				s.lost = false // the log is there, and says nothing of these Pods
				s.boot()
				sweep()
				if after := s.has(pods...); len(after) != len(before) {
					t.Fatalf("%v, was %v", after, before)
				}
			}
			for _, p := range pods {
				p.ok("DEL")
				s.cluster.mu.Lock()
				delete(s.cluster.pods, p.pod.String())
				s.cluster.mu.Unlock()
			}
			sweep() // addresses whose sandbox nobody knows go when their Pod is gone
			s.clean()
			s.stop()
			s.boot()
			if hasGap(s.server.Records) {
				t.Error("the log has a gap for ever")
			}
		})
	}
}
