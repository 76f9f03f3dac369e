package overlay_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/nft"
	"github.com/tsunagu-net/tsunagu/overlay"
)

// way is one way for packets between two nodes, on a segment of its own.
type way struct {
	name   string
	s      *segment
	server int // process of iperf3
	rtt    net.Conn

	throughput, latency, cpu []float64 // Gbit/s, µs, CPU seconds per GB; one for each round
}

// ways are ours, plain routes, and VXLAN as flannel makes it: a route, a neighbour and a forwarding entry for each node. All three
// track connections and masquerade by the same rules.
func ways(b *testing.B) []*way {
	gpe := &way{name: "gpe", s: newSegment(b, "bg", 1500, "4", "4")}
	gpe.s.run(overlay.Config{Masquerade: true})
	plain := &way{name: "plain", s: newSegment(b, "bp", 1500, "4", "4")}
	plain.s.run(overlay.Config{Encap: overlay.None, Masquerade: true})
	vxlan := &way{name: "vxlan", s: newSegment(b, "bv", 1500, "4", "4")}
	rules := nft.Contents{}
	rules.Pods([]netip.Prefix{prefix("10.244.1.0/24"), prefix("10.244.2.0/24")})
	rules.Own([]netip.Prefix{prefix("10.244.1.0/24"), prefix("10.244.2.0/24")})
	for i, n := range vxlan.s.nodes {
		if err := nft.Open(n.ns, nft.Options{}).Replace(nft.ReachSets, rules); err != nil {
			b.Fatal(err)
		}
		vxlan.s.sh(n.part(), fmt.Sprintf(`echo 1 > /proc/sys/net/ipv4/ip_forward
			ip link add vx address 02:00:00:00:00:0%[1]d mtu 1450 type vxlan id 1 dstport 8472 nolearning local 192.168.7.%[1]d dev eth0; ip link set vx up
			ip addr add 10.244.%[1]d.0/32 dev vx; ip route add 10.244.%[2]d.0/24 via 10.244.%[2]d.0 dev vx onlink
			ip neigh add 10.244.%[2]d.0 lladdr 02:00:00:00:00:0%[2]d dev vx nud permanent
			bridge fdb append 02:00:00:00:00:0%[2]d dev vx dst 192.168.7.%[2]d`, n.i, 2-i))
		n.addPod(1450)
	}
	all := []*way{gpe, plain, vxlan}
	for _, w := range all {
		w.s.mustPing("p1", "10.244.2.5")
		server := exec.Command("nsenter", "--net=/run/netns/"+w.s.name("p2"), "iperf3", "-s", "-p", "5201")
		if err := server.Start(); err != nil {
			b.Fatal(err)
		}
		w.server = server.Process.Pid
		b.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
		eventually(b, "iperf3", 10*time.Second, func() bool { return contains(w.s.sh("p2", "ss -ltnH"), ":5201") })
		w.s.echo("p2", ":80")
		w.s.in("p1", func() (err error) {
			if w.rtt, err = net.Dial("tcp", "10.244.2.5:80"); err != nil {
				return err
			}
			var greeting string
			_, err = fmt.Fscanln(w.rtt, &greeting)
			return err
		})
		b.Cleanup(func() { w.rtt.Close() })
	}
	return all
}

// BenchmarkAcrossNodes measures Pod to Pod across two nodes in turns, and reports medians of the ratios of neighbouring runs: more
// than 1 is better for throughput, worse for rtt and cpu/GB. CPU is that of both ends and of all soft interrupts, so other traffic on
// the machine disturbs it. Run it as
//
//	go test -run='^$' -bench=AcrossNodes -benchtime=10x ./overlay
func BenchmarkAcrossNodes(b *testing.B) {
	all := ways(b)
	rounds := 0
	for b.Loop() {
		for i := range all {
			all[(i+rounds)%len(all)].measure(b)
		}
		rounds++
	}
	gpe := all[0]
	for _, peer := range all[1:] {
		for _, m := range []struct {
			name        string
			ours, other []float64
		}{{"throughput", gpe.throughput, peer.throughput}, {"rtt", gpe.latency, peer.latency}, {"cpu/GB", gpe.cpu, peer.cpu}} {
			ratios := make([]float64, rounds)
			for i := range ratios {
				ratios[i] = m.ours[i] / m.other[i]
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[rounds/2], "gpe/"+peer.name+"-"+m.name)
			b.Logf("gpe/%-5s %-10s %.2f (middle half %.2f to %.2f of %d rounds)", peer.name, m.name, ratios[rounds/2], ratios[rounds/4], ratios[(3*rounds-1)/4], rounds)
		}
	}
	for _, w := range all {
		b.Logf("%-5s %6.2f Gbit/s %6.1f µs %6.2f CPU s/GB", w.name, median(w.throughput), median(w.latency), median(w.cpu))
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		b.Logf("load average %s", strings.TrimSpace(string(load)))
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// measure adds one round.
func (w *way) measure(b *testing.B) {
	before := softirqSeconds(b) + processSeconds(b, w.server)
	client := exec.Command("nsenter", "--net=/run/netns/"+w.s.name("p1"), "iperf3", "-c", "10.244.2.5", "-p", "5201", "-t", "1", "-J")
	out, err := client.Output()
	if err != nil {
		b.Fatalf("iperf3: %v: %s", err, out)
	}
	busy := softirqSeconds(b) + processSeconds(b, w.server) - before
	busy += (client.ProcessState.SystemTime() + client.ProcessState.UserTime()).Seconds()
	var report struct {
		End struct {
			Received struct {
				Bytes         float64 `json:"bytes"`
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(out, &report); err != nil || report.End.Received.Bytes == 0 {
		b.Fatalf("iperf3 said %s: %v", out, err)
	}
	w.throughput = append(w.throughput, report.End.Received.BitsPerSecond/1e9)
	w.cpu = append(w.cpu, busy/(report.End.Received.Bytes/1e9))
	w.latency = append(w.latency, w.roundTrip(b))
}

// roundTrip is the median of 1000 one-byte exchanges, in µs.
func (w *way) roundTrip(b *testing.B) float64 {
	one := []byte{1}
	times := make([]float64, 1000)
	for i := range times {
		begin := time.Now()
		if _, err := w.rtt.Write(one); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(w.rtt, one); err != nil {
			b.Fatal(err)
		}
		times[i] = float64(time.Since(begin)) / 1e3
	}
	return median(times)
}

// ticks is how many make a second in /proc (USER_HZ).
const ticks = 100

// softirqSeconds is what all processors have spent in soft interrupts, where packets are forwarded (proc(5), /proc/stat).
func softirqSeconds(b *testing.B) float64 {
	const softirq = 7 // "cpu", user, nice, system, idle, iowait, irq, softirq
	return field(b, "/proc/stat", softirq)
}

// processSeconds is what a process has used, in user and kernel mode.
func processSeconds(b *testing.B, pid int) float64 {
	const utime, stime = 13, 14
	path := fmt.Sprintf("/proc/%d/stat", pid)
	return field(b, path, utime) + field(b, path, stime)
}

func field(b *testing.B, path string, n int) float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	v, err := strconv.ParseFloat(strings.Fields(string(text))[n], 64)
	if err != nil {
		b.Fatal(err)
	}
	return v / ticks
}
