package attach

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/ipam/journal"
)

// agentProcess tells the test's program to be an agent, in JSON.
const agentProcess = "TST_ATTACH_AGENT"

// agentWorld is what such an agent works with: journals in Dir, and every Pod there is.
type agentWorld struct {
	NetNS, Dir  string
	Pods        map[string]Pod
	Definitions map[string]Definition
}

// runAgentProcess is a process of its own, so that it can be killed at any instruction.
func runAgentProcess() {
	ctx := context.Background()
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "agent process:", err)
			os.Exit(1)
		}
	}
	var w agentWorld
	must(json.Unmarshal([]byte(os.Getenv(agentProcess)), &w))
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	addressLog, _, err := journal.Open(ctx, filepath.Join(w.Dir, "addresses"), journal.Options{Reserve: 64 << 10, Ends: ipam.Ends})
	must(err)
	allocator, err := ipam.New(ipam.Options{Node: "node", NodeUID: "node-uid", Store: iptest.NewStore().As("node"), Log: addressLog})
	must(err)
	go func() { must(allocator.Run(ctx)) }()
	records, found, err := journal.Open(ctx, filepath.Join(w.Dir, "sandboxes"), journal.Options{Reserve: 64 << 10, Ends: Ends})
	must(err)
	if found.Damaged > 0 {
		must(fmt.Errorf("the journal is damaged: %+v", found))
	}
	wirer, err := kind.New(w.NetNS, log)
	must(err)
	c := newCluster()
	c.pods, c.definitions = w.Pods, w.Definitions
	server, err := New(Config{
		Pods: c, Definitions: c, Pools: c, PodNetwork: testNetwork{[]string{"10.244.1.0/24"}}, Addresses: allocator, Wirer: wirer,
		Ports: &testPorts{has: map[string]hostport.Sandbox{}}, Events: c, Statuses: c, Meter: &testMeter{stages: map[string][]time.Duration{}},
		Log: log, Records: records, Lacks: func() []string { return nil },
	})
	must(err)
	must(server.Start(ctx))
	l, err := Listen(filepath.Join(w.Dir, "cni.sock"))
	must(err)
	go func() { must(server.Run(ctx)) }()
	must(server.Serve(ctx, l))
}

// Agents are killed again and again while Pods come and go. Every Pod gets its interfaces in the end, no two have one address, and
// nothing is left when all are gone.
func TestAgentIsKilledAgainAndAgain(t *testing.T) {
	n := newMachine(t)
	n.define("flat", `{"type":"macvlan","master":"up1"}`)
	n.define("hub", `{"type":"bridge","bridge":"tsthub"}`)
	const workers, lives = 4, 3
	var pods [workers][lives]*sandbox
	for i := range workers {
		for j := range lives {
			pods[i][j] = n.pod(fmt.Sprintf("web-%d-%d", i, j), "flat,hub")
		}
	}
	world, err := json.Marshal(agentWorld{n.ns.Path(), n.dir, n.cluster.pods, n.definitions})
	n.must(err)
	start := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), agentProcess+"="+string(world))
		cmd.Stderr = os.Stderr
		n.must(cmd.Start())
		return cmd
	}
	stop := make(chan struct{})
	var killer, work sync.WaitGroup
	kills := 0
	killer.Go(func() {
		for {
			agent := start()
			select {
			case <-time.After(time.Duration(30+rand.IntN(150)) * time.Millisecond):
				kills++
			case <-stop:
				_ = agent.Process.Kill()
				_ = agent.Wait()
				return
			}
			_ = agent.Process.Kill()
			_ = agent.Wait()
		}
	})
	var mu sync.Mutex
	live := map[string]string{}
	for i := range workers {
		work.Go(func() {
			for _, s := range pods[i] {
				until(t, s, "ADD")
				address := s.interfaces()["eth0"]
				if len(address) != 1 || len(s.interfaces()) != 3 {
					t.Errorf("%s has %v", s.pod, s.interfaces())
					continue
				}
				mu.Lock()
				if other := live[address[0]]; other != "" {
					t.Errorf("%s has %s, and so has %s", s.pod, address[0], other)
				}
				live[address[0]] = s.pod.String()
				mu.Unlock()
				time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
				mu.Lock()
				delete(live, address[0])
				mu.Unlock()
				until(t, s, "DEL")
				if left := s.interfaces(); len(left) > 0 {
					t.Errorf("%s: left in the sandbox: %v", s.pod, left)
				}
			}
		})
	}
	work.Wait()
	close(stop)
	killer.Wait()
	t.Logf("%d lives of Pods, %d kills of the agent", workers*lives, kills)

	links, err := n.conn.Links()
	n.must(err)
	for _, l := range links {
		if strings.HasPrefix(l.Name, "tsu") {
			t.Errorf("link %s is left", l.Name)
		}
	}
	for _, name := range []string{"addresses", "sandboxes"} {
		j, report, err := journal.Open(t.Context(), filepath.Join(n.dir, name), journal.Options{})
		n.must(err)
		j.All(func(k string, value []byte) {
			var r Record
			if name == "addresses" || json.Unmarshal(value, &r) != nil || r.State != Gone {
				t.Errorf("journal %s has %s %s (%+v)", name, k, value, report)
			}
		})
		n.must(j.Close())
	}
}

// until repeats a call as a runtime does: an ADD that fails is followed by a DEL.
func until(t *testing.T, s *sandbox, verb string) {
	for range 50 {
		r := s.call(verb)
		if r.code == 0 {
			return
		}
		if !strings.Contains(r.output, `"code":11`) {
			t.Errorf("%s %s: %s", verb, s.pod, r.output)
		}
		if verb == "ADD" {
			until(t, s, "DEL")
		}
	}
	t.Errorf("%s %s never succeeds", verb, s.pod)
}
