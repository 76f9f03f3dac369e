package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// Deleting the install and installing again keeps running Pods' traffic alive,
// and takes away what the install put on the nodes.
func TestReinstallKeepsTraffic(t *testing.T) {
	ns := room(t, "e2e-reinstall")
	network(t, "e2e-re", ns, macvlan("up1", "192.168.81.0/24"))
	a := create(t, ns, "a", "node1", "e2e-re")
	b := create(t, ns, "b", "node2", "e2e-re")

	// One ping every 100 ms on both networks while it happens; a lost packet
	// shows in the summary.
	type result struct {
		said string
		err  error
	}
	results := make(chan result, 2)
	ctx := within(t, 5*time.Minute)
	for _, to := range []string{address(t, b, "", false), address(t, b, ns+"/e2e-re", false)} {
		go func() {
			said, err := lab.PodExec(ctx, ns, a.Name, "ping", "-i", "0.1", "-c", "300", "-q", to)
			results <- result{said, err}
		}()
	}
	time.Sleep(2 * time.Second)
	must(t, lab.Uninstall(ctx))
	conf, err := lab.Exec(ctx, "node1", "sh", "-c", "ls /etc/cni/net.d /opt/cni/bin")
	must(t, err)
	if strings.Contains(conf, "tsunagu") {
		t.Errorf("the uninstall left on node1:\n%s", conf)
	}
	must(t, lab.Install(ctx, func(s string) { t.Log(s) }))
	for range 2 {
		r := <-results
		must(t, r.err)
		if !strings.Contains(r.said, " 0% packet loss") {
			t.Errorf("packets were lost: %s", tail(r.said, 3))
		}
	}
	// The addresses of running Pods are still theirs.
	c := create(t, ns, "c", "node3", "e2e-re")
	for _, p := range []string{address(t, a, ns+"/e2e-re", false), address(t, b, ns+"/e2e-re", false)} {
		if address(t, c, ns+"/e2e-re", false) == p {
			t.Fatalf("%s was given out twice", p)
		}
	}
}

// The tunnel device, the routes and the table come back when somebody removes
// them.
func TestOverlayRepairsItself(t *testing.T) {
	ns := room(t, "e2e-repair")
	a := create(t, ns, "a", "node1", "")
	b := create(t, ns, "b", "node2", "")
	ping(t, a, "", address(t, b, "", false))
	for _, harm := range []string{
		"ip link del tsu-vx",
		"ip route flush proto 84; ip -6 route flush proto 84",
		"nft delete table inet tsunagu",
	} {
		_, err := lab.Exec(within(t, 20*time.Second), "node1", "sh", "-c", harm)
		must(t, err)
		time.Sleep(time.Second)
		ping(t, a, "", address(t, b, "", false))
		ping(t, b, "", address(t, a, "", true))
		ping(t, a, "", "203.0.113.10")
	}
}

// Agents at rest stay below 40 MiB of resident memory.
func TestMemoryAtRest(t *testing.T) {
	const limit = 40 // MiB
	for _, n := range nodes {
		pids, err := lab.Processes(n, "tsunagu-agent")
		must(t, err)
		if len(pids) != 1 {
			t.Errorf("%d agents run on %s, want 1", len(pids), n)
		}
		for _, pid := range pids {
			rss, err := drive.RSS(pid)
			must(t, err)
			t.Logf("tsunagu-agent on %s: %.1f MiB", n, rss)
			if rss > limit {
				t.Errorf("tsunagu-agent on %s holds %.1f MiB, want at most %d", n, rss, limit)
			}
		}
	}
}
