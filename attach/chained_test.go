package attach

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// everyChained is a list with all chained plugins that Debian's kernel modules are not needed for.
const everyChained = `{"cniVersion":"1.0.0","name":"lan","plugins":[
	{"type":"bridge","bridge":"tstbr","isGateway":true,"ipam":{"type":"host-local","dataDir":%[1]q,"ranges":[[{"subnet":"10.77.0.0/24"}],[{"subnet":"fd00:77::/64"}]],"routes":[{"dst":"172.20.0.0/16"},{"dst":"fd00:99::/64"}]}},
	{"type":"tuning","mac":"02:00:5e:00:00:0a","mtu":1400,"allmulti":true,"sysctl":{"net.ipv4.conf.IFNAME.arp_filter":"1","net.ipv4.tcp_keepalive_time":"77"},"dataDir":%[2]q},
	{"type":"bandwidth","capabilities":{"bandwidth":true}},
	{"type":"portmap","capabilities":{"portMappings":true},"conditionsV4":["!","-s","198.51.100.0/24"]},
	{"type":"firewall"},
	{"type":"sbr"}]}`

// TestThirdPartyChain attaches the same Pod twice: by what is built in, and by Debian's plugins behind tsunagu. What is on the node and in
// the Pod is compared object by object, and who reaches the Pod's port.
func TestThirdPartyChain(t *testing.T) {
	portrait := func(binaries bool) (lines []string) {
		n := newNode(t)
		n.define("lan", fmt.Sprintf(everyChained, n.dir+"/leases", n.dir+"/tuned"))
		if binaries {
			n.binaries("lan")
		}
		s := n.pod("web", `[{"name":"lan","portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}],"bandwidth":{"ingressRate":8000000,"ingressBurst":160000,"egressRate":16000000,"egressBurst":320000}}]`)
		s.add()
		before := n.visible(n.ns, "node")
		lines = append(before, n.visible(s.ns, "pod")...)
		lines = append(lines, n.reachable(s.ns)...)
		if !binaries { // the plugins of this version refuse CHECK: tuning does not know IFNAME there, portmap looks for IPv4 among rules of IPv6
			s.ok("CHECK")
		}
		delete(n.definitions, "default/lan") // the record alone is enough from here on, also for the next agent
		n.stop()
		n.boot()
		if !binaries {
			s.ok("CHECK")
		}
		s.ok("DEL")
		s.ok("DEL")
		for _, line := range n.visible(n.ns, "node") {
			if strings.Contains(line, "IFB") || strings.Contains(line, "tsunagu-forward") || strings.Contains(line, "END") ||
				strings.Contains(line, "CNI-FORWARD") && strings.Contains(line, "77") {
				t.Errorf("left on the node: %s", line)
			}
		}
		return lines
	}
	own, theirs := portrait(false), portrait(true)
	if !slices.Contains(own, "node iptables-save -A CNI-FORWARD -s 10.77.0.2/32 -j ACCEPT") {
		t.Errorf("firewall let nobody through:\n%s", strings.Join(own, "\n"))
	}
	for _, line := range own {
		if !slices.Contains(theirs, line) {
			t.Errorf("here:    %s", line)
		}
	}
	for _, line := range theirs {
		if !slices.Contains(own, line) {
			t.Errorf("plugins: %s", line)
		}
	}
}

var (
	chance  = regexp.MustCompile(`^\d+: |link/ether \S+ brd \S+|permaddr \S+|link-netns \S+|link-netnsid \d+|alias \S+|@\w+|fe80::\S+|valid_lft \S+|preferred_lft \S+|proto \w+|group \w+|state \w+|qlen \d+|NO-CARRIER,|linkdown|tentative|nodad|noprefixroute|refcnt \d+|pref medium|index \d+ ref \d+ bind \d+`)
	ends    = regexp.MustCompile(`\b(tsu[-0-9a-z]+|veth[0-9a-f]+)\b`)
	mtus    = regexp.MustCompile(`mtu \d+`)
	limiter = regexp.MustCompile(`\bbwp[0-9a-f]{12}\b`)
)

// visible is what programs show of a namespace, a line each, without what is chance.
func (n *node) visible(ns *netns.Namespace, side string) (lines []string) {
	n.Helper()
	for _, command := range []string{"ip -o link", "ip -o addr", "ip -4 route show table all", "ip -6 route show table all", "ip -4 rule", "ip -6 rule", "tc qdisc show",
		"sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.tcp_keepalive_time", "sysctl -e net.ipv4.conf.net1.arp_filter",
		"iptables-save -t filter", "ip6tables-save -t filter"} {
		words := strings.Fields(command)
		for line := range strings.Lines(n.execute(ns, words...)) {
			line = ends.ReplaceAllString(limiter.ReplaceAllString(line, "IFB"), "END")
			if side == "node" { // where it is built in, both ends of the pair get the MTU that tuning is to set
				line = mtus.ReplaceAllString(line, "")
			}
			if strings.HasPrefix(words[0], "ip") && strings.HasSuffix(words[0], "-save") && !strings.HasPrefix(line, "-A") {
				continue // counts and the time
			}
			if strings.Contains(line, "table local") && strings.Contains(line, "::") || strings.Contains(line, "inet6 fe80:") {
				continue // the kernel makes them when it has looked for duplicates
			}
			if line = strings.Join(strings.Fields(chance.ReplaceAllString(line, "")), " "); line != "" && !strings.Contains(line, "Peer netns") && !slices.Contains(lines, side+" "+words[0]+" "+line) {
				lines = append(lines, side+" "+words[0]+" "+line)
			}
		}
	}
	return lines
}

func (n *node) execute(ns *netns.Namespace, words ...string) string {
	n.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	var out []byte
	if err := ns.Do(func() (err error) { out, err = cmd.CombinedOutput(); return err }); err != nil {
		n.Fatalf("%v: %v: %s", words, err, out)
	}
	return string(out)
}

// reachable tells who reaches port 8080 of the node, and port 80 of the Pod.
func (n *node) reachable(pod *netns.Namespace) (lines []string) {
	n.Helper()
	server := exec.Command("busybox", "nc", "-ll", "-p", "80", "-e", "echo", "here")
	n.must(pod.Do(server.Start))
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	for _, to := range []string{"10.77.0.1 8080", "127.0.0.1 8080", "10.77.0.2 80", "10.77.0.1 8081"} {
		host, port, _ := strings.Cut(to, " ")
		answer := ""
		for range 20 { // it may be starting
			cmd := exec.Command("busybox", "timeout", "1", "busybox", "nc", "-w", "1", host, port)
			_ = n.ns.Do(func() error { out, err := cmd.Output(); answer = strings.TrimSpace(string(out)); return err })
			if answer != "" || port == "8081" {
				break
			}
		}
		lines = append(lines, fmt.Sprintf("node → %s: %q", to, answer))
	}
	return lines
}
