//go:build vm

package kind

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// plainBridge stands for what people build by hand: an 802.1Q interface on a bridge, and no guard.
const plainBridge Datapath = "by hand"

// BenchmarkVMVLANDatapaths sends from a Pod to one on the same node, and to one on another node over the trunk. Frames are made by the
// kernel itself (pktgen) and dropped where they arrive, so that what is measured is the way between.
func BenchmarkVMVLANDatapaths(b *testing.B) {
	if out, err := exec.Command("modprobe", "pktgen").CombinedOutput(); err != nil {
		b.Fatalf("modprobe pktgen: %v: %s", err, out)
	}
	for _, way := range []string{"node", "trunk"} {
		pps, rtt := map[Datapath][]float64{}, map[Datapath][]float64{}
		lines := map[Datapath]*line{}
		datapaths := []Datapath{EBPF, SubInterface, plainBridge}
		for i, d := range datapaths {
			lines[d] = newLine(b, d, way == "trunk", i)
		}
		for range rounds { // in turn, so that the machine's moods meet all of them
			for _, d := range datapaths {
				pps[d] = append(pps[d], lines[d].flood())
				rtt[d] = append(rtt[d], lines[d].ping())
			}
		}
		for _, d := range datapaths {
			b.Logf("%-5s %-7s  %7.0f frames/s  RTT %.0f µs", way, d, median(pps[d]), median(rtt[d]))
		}
		for d, name := range map[Datapath]string{SubInterface: "bridge", plainBridge: "by-hand"} {
			b.ReportMetric(median(pps[EBPF])/median(pps[d]), "pps-ratio-"+way+"-"+name)
			b.ReportMetric(median(rtt[EBPF])/median(rtt[d]), "rtt-ratio-"+way+"-"+name)
		}
	}
}

const (
	rounds  = 5
	flooded = 40000
	pings   = 800
)

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// line is a Pod that sends and one that receives, on one VLAN.
type line struct {
	testing.TB
	from, to *netns.Namespace
	mac      net.HardwareAddr
	ip       string
}

func newLine(b *testing.B, d Datapath, over bool, number int) *line {
	f := &fabric{world: &world{TB: b, name: fmt.Sprintf("tst-line-%d-%d", os.Getpid(), worlds.Add(1))}}
	for i := range f.nodes {
		n := &trunkNode{number: 10*number + i + 1, world: &world{TB: b, name: fmt.Sprintf("%s-n%d", f.name, i+1)}}
		f.nodes[i] = n
		n.node = n.namespace("node")
		n.conn = n.dial(n.node)
	}
	n1, n2 := f.nodes[0], f.nodes[1]
	f.must(n1.conn.Apply(link.NewVeth(link.End{Name: "eth1"}, link.End{Name: "eth1", NS: n2.node})))
	for _, n := range f.nodes {
		eth1, err := n.conn.ByName("eth1")
		f.must(err)
		f.must(n.conn.Apply(link.Up("eth1", eth1.Index)))
		n.start()
		b.Cleanup(func() { n.must(n.wirer.Close()) })
	}
	if !over {
		n2 = n1
	}
	from, to := n1.benchPod(d), n2.benchPod(d)
	c := to.dial(to.ns)
	net1, err := c.ByName("net1")
	f.must(err)
	l := &line{TB: b, from: from.ns, to: to.ns, mac: net1.MAC, ip: to.v4}
	to.goes("line", from.ns, from.v4, from.v6)
	return l
}

func (n *trunkNode) benchPod(d Datapath) *vlanPod {
	n.Helper()
	if d != plainBridge {
		return n.vlanPod(120, fmt.Sprintf(`,"datapath":"%s"`, d))
	}
	if _, err := n.conn.ByName("br120"); link.Missing(err) {
		eth1, err := n.conn.ByName("eth1")
		n.must(err)
		n.must(n.conn.Apply(link.NewBridge(link.End{Name: "br120"})))
		br, err := n.conn.ByName("br120")
		n.must(err)
		n.must(n.conn.Apply(link.NewVLAN(link.End{Name: "eth1.120", Master: br.Index}, eth1.Index, 120)))
	}
	p := &vlanPod{trunkNode: n, ns: n.pod(), vlan: 120}
	p.v4, p.v6 = fmt.Sprintf("10.120.%d.%d", n.number, n.pods), fmt.Sprintf("fd00:120::%d:%d", n.number, n.pods)
	p.wired = n.wire(p.ns, p.attach(p.ns, "net1", p.spec("bridge", `{"bridge":"br120"}`), p.v4+"/16", p.v6+"/64"))
	return p
}

// in runs a program in a namespace.
func (l *line) in(ns *netns.Namespace, command string) string {
	l.Helper()
	words := strings.Fields(command)
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.Command(words[0], words[1:]...).CombinedOutput()
		return err
	})
	if err != nil {
		l.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

// number is the last match of a pattern with one group.
func (l *line) number(text, pattern string) float64 {
	l.Helper()
	all := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		l.Fatalf("no %s in %s", pattern, text)
	}
	n, err := strconv.ParseFloat(all[len(all)-1][1], 64)
	if err != nil {
		l.Fatal(err)
	}
	return n
}

// flood is how many frames a second arrive.
func (l *line) flood() float64 {
	l.Helper()
	l.in(l.to, "tc qdisc add dev net1 clsact")
	l.in(l.to, "tc filter add dev net1 ingress protocol ip matchall action drop")
	defer l.in(l.to, "tc qdisc del dev net1 clsact")
	script := fmt.Sprintf(`
mount -t proc proc /proc
cd /proc/net/pktgen
echo rem_device_all > kpktgend_0
echo add_device net1 > kpktgend_0
for x in "count %d" "pkt_size 60" "delay 0" "clone_skb 0" "dst_mac %s" "dst_min %s" "dst_max %s" "src_min $1" "src_max $1"; do echo "$x" > net1; done
echo start > pgctrl
cat net1
echo rem_device_all > kpktgend_0
`, flooded, l.mac, l.ip, l.ip)
	source := l.own()
	var out []byte
	err := l.from.Do(func() (err error) {
		out, err = exec.Command("unshare", "--mount", "sh", "-ec", script, "sh", source).CombinedOutput()
		return err
	})
	if err != nil {
		l.Fatalf("pktgen: %v: %s", err, out)
	}
	took := l.number(string(out), `Result: OK: (\d+)\(`) / 1e6
	arrived := l.number(l.in(l.to, "tc -s filter show dev net1 ingress"), `bytes (\d+) pkt`)
	if arrived < flooded*0.5 {
		l.Fatalf("of %d frames %0.f arrived", flooded, arrived)
	}
	return arrived / took
}

// own is the sender's address, which its guard wants to see.
func (l *line) own() string {
	l.Helper()
	return regexp.MustCompile(`inet ([0-9.]+)/`).FindStringSubmatch(l.in(l.from, "ip -4 addr show dev net1"))[1]
}

// ping is the average time there and back, in µs.
func (l *line) ping() float64 {
	l.Helper()
	return 1000 * l.number(l.in(l.from, fmt.Sprintf("ping -f -q -c %d %s", pings, l.ip)), `= [0-9.]+/([0-9.]+)/`)
}
