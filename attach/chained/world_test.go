package chained

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// world is a node and a Pod with interface net1, whose other end is host1 on the node; all addresses are the same in every world.
type world struct {
	testing.TB
	node, pod *netns.Namespace
	// out is a neighbour of the node, when there is one (outside).
	out    *netns.Namespace
	runner *Runner
	call   Call
	// dir is for files of the reference plugins.
	dir string
}

var worlds atomic.Int32

const id = "c0ffee0123456789"

func newWorld(t testing.TB, addresses ...string) *world {
	t.Helper()
	w := &world{TB: t, dir: t.TempDir()}
	name := fmt.Sprintf("tst-chained-%d-%d", os.Getpid(), worlds.Add(1))
	w.node, w.pod = w.namespace(name+"-node"), w.namespace(name+"-pod")
	for _, ns := range []*netns.Namespace{w.node, w.pod} { // no address is tentative, and no random one comes
		w.in(ns, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.accept_ra=0", "net.ipv6.conf.lo.disable_ipv6=0",
			"net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_forward=1", "net.ipv6.conf.default.router_solicitations=0")
		w.in(ns, "ip", "link", "set", "lo", "up")
	}
	w.in(w.node, "ip", "link", "add", "host1", "address", "02:00:00:00:01:01", "type", "veth", "peer", "net1", "address", "02:00:00:00:01:02", "netns", w.pod.Path())
	w.in(w.node, "ip", "link", "set", "host1", "up")
	w.in(w.pod, "ip", "link", "set", "net1", "up")
	w.await(w.node, "host1")
	w.await(w.pod, "net1")
	w.call = Call{ContainerID: id, IfName: "net1", Network: "default/net", Name: "net", NetNS: w.pod.Path(), Namespace: "default", Pod: "pod", UID: "uid",
		Wired: kind.Wired{ContainerID: id, IfName: "net1", Network: "default/net", Type: "ptp", MAC: "02:00:00:00:01:02", MTU: 1500, HostIf: "host1", HostMAC: "02:00:00:00:01:01"}}
	for _, text := range addresses {
		w.address(text)
	}
	w.runner = &Runner{Node: w.node}
	return w
}

// await waits until the kernel has told all of itself that a link works: then it has a link-local address, and the routes for that.
func (w *world) await(ns *netns.Namespace, device string) {
	w.Helper()
	for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(5 * time.Millisecond) {
		if out := w.in(ns, "ip", "-6", "addr", "show", "dev", device, "scope", "link"); strings.Contains(out, "fe80:") && !strings.Contains(out, "tentative") {
			return
		}
	}
	w.Fatalf("%s has no link-local address", device)
}

// address gives net1 an address, and host1 the gateway.
func (w *world) address(text string) {
	w.Helper()
	prefix, gateway, _ := strings.Cut(text, " via ")
	a := kind.Address{Prefix: netip.MustParsePrefix(prefix)}
	w.in(w.pod, "ip", "addr", "add", prefix, "dev", "net1", "nodad")
	if gateway != "" {
		a.Gateway = netip.MustParseAddr(gateway)
		w.in(w.node, "ip", "addr", "replace", netip.PrefixFrom(a.Gateway, a.Prefix.Bits()).String(), "dev", "host1", "nodad")
		w.in(w.pod, "ip", family(a.Gateway), "route", "append", "default", "via", gateway, "dev", "net1")
		dst := "0.0.0.0/0"
		if a.Gateway.Is6() {
			dst = "::/0"
		}
		w.call.Wired.Routes = append(w.call.Wired.Routes, kind.Route{Dst: netip.MustParsePrefix(dst), Gateway: a.Gateway})
	}
	w.call.Wired.Addresses = append(w.call.Wired.Addresses, a)
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "-6"
	}
	return "-4"
}

func (w *world) namespace(name string) *netns.Namespace {
	w.Helper()
	n, err := netns.Create(name)
	w.must(err)
	w.Cleanup(func() {
		n.Close()
		w.must(netns.Delete(name))
	})
	return n
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// in executes a program in a namespace.
func (w *world) in(ns *netns.Namespace, program string, args ...string) string {
	w.Helper()
	out, err := w.try(ns, program, args...)
	if err != nil {
		w.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, out)
	}
	return out
}

func (w *world) try(ns *netns.Namespace, program string, args ...string) (string, error) {
	var out []byte
	cmd := exec.Command(program, args...)
	err := ns.Do(func() (err error) { out, err = cmd.CombinedOutput(); return err })
	return string(out), err
}

// prevResult is what the plugins before have printed.
func (w *world) prevResult() map[string]any {
	one := 1
	interfaces := []any{map[string]any{"name": "host1", "mac": "02:00:00:00:01:01"}, map[string]any{"name": "net1", "mac": "02:00:00:00:01:02", "sandbox": w.pod.Path()}}
	if bridge := w.call.Wired.Bridge; bridge != "" {
		interfaces, one = append([]any{map[string]any{"name": bridge, "mac": "02:00:00:00:00:b0"}}, interfaces...), 2
	}
	result := map[string]any{"cniVersion": "1.0.0", "interfaces": interfaces}
	var ips []any
	for _, a := range w.call.Wired.Addresses {
		ip := map[string]any{"address": a.Prefix.String(), "interface": one}
		if a.Gateway.IsValid() {
			ip["gateway"] = a.Gateway.String()
		}
		ips = append(ips, ip)
	}
	result["ips"] = ips
	return result
}

// reference executes the reference plugin.
func (w *world) reference(verb, binary, config string, runtime map[string]any) error {
	w.Helper()
	whole := map[string]any{}
	w.must(json.Unmarshal([]byte(config), &whole))
	whole["cniVersion"], whole["name"], whole["type"], whole["prevResult"] = "1.0.0", "net", filepath.Base(binary), w.prevResult()
	if runtime != nil {
		whole["runtimeConfig"] = runtime
	}
	stdin, err := json.Marshal(whole)
	w.must(err)
	cmd := exec.Command(binary)
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+verb, "CNI_CONTAINERID="+id, "CNI_NETNS="+w.pod.Path(), "CNI_IFNAME=net1", "CNI_PATH="+filepath.Dir(binary))
	return w.node.Do(func() error {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", verb, binary, err, out)
		}
		return nil
	})
}

var (
	throttles = regexp.MustCompile(`bwp[0-9a-f]{12}`)
	random    = regexp.MustCompile(`link/ether \S+|fe80::\S+| \\ alias \S+|qlen \d+`)
	inet6     = regexp.MustCompile(`(?m)^\d+: (\S+)\s+inet6 ([0-9a-f:]+)/`)
	numbered  = regexp.MustCompile(`^\d+: `)
	volatile  = regexp.MustCompile(`NO-CARRIER,|\btentative\b|state \w+ mode|\blinkdown\b|link-netns \S+|link-netnsid \d+|parentdev \S+|@if\d+|@\w+|valid_lft \w+|preferred_lft \w+|group default|numtxqueues \d+|numrxqueues \d+|gso_\w+ \d+|tso_\w+ \d+|gro_\w+ \d+|minmtu \d+|maxmtu \d+|addrgenmode \w+|protocol \d+|refcnt \d+|proto \w+|pref medium|index \d+ ref \d+ bind \d+|\w+_timer +[0-9.]+`)
)

// settle waits until every address has its routes: the kernel makes them a little later.
func (w *world) settle(ns *netns.Namespace) {
	w.Helper()
	missing := ""
	for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(5 * time.Millisecond) {
		missing = ""
		routes := w.in(ns, "ip", "-6", "route", "show", "table", "all")
		for _, found := range inet6.FindAllStringSubmatch(w.in(ns, "ip", "-6", "-o", "addr"), -1) {
			if found[1] != "lo" && !strings.Contains(routes, "local "+found[2]+" dev "+found[1]) {
				missing = found[0]
			}
		}
		if missing == "" {
			return
		}
	}
	w.Fatalf("%s has no route", missing)
}

// portrait is everything that a plugin may have changed, one object a line.
func (w *world) portrait(knobs ...string) (lines []string) {
	w.Helper()
	w.settle(w.node)
	w.settle(w.pod)
	for _, side := range []struct {
		name string
		ns   *netns.Namespace
	}{{"node", w.node}, {"pod", w.pod}} {
		for _, command := range []string{"ip -o -d link", "ip -o addr", "ip -4 route show table all", "ip -6 route show table all", "ip -4 rule", "ip -6 rule", "tc qdisc show"} {
			words := strings.Fields(command)
			for _, line := range strings.Split(w.in(side.ns, words[0], words[1:]...), "\n") {
				if line = strings.Join(strings.Fields(volatile.ReplaceAllString(throttles.ReplaceAllString(numbered.ReplaceAllString(line, ""), "IFB"), "")), " "); line == "" || strings.HasPrefix(line, "Error: Peer netns") {
					continue
				}
				lines = append(lines, side.name+" "+command+": "+line)
			}
		}
		for _, knob := range knobs {
			w.must(side.ns.Do(func() error {
				lines = append(lines, side.name+" sysctl "+knob+": "+link.ReadHere(knob))
				return nil
			}))
		}
	}
	lines = append(lines, w.filters()...)
	for _, dev := range []string{"host1"} {
		for line := range strings.SplitSeq(w.in(w.node, "tc", "filter", "show", "dev", dev, "parent", "ffff:"), "\n") {
			if line = strings.Join(strings.Fields(volatile.ReplaceAllString(throttles.ReplaceAllString(line, "IFB"), "")), " "); line != "" {
				lines = append(lines, "node filter "+dev+": "+line)
			}
		}
	}
	for i, line := range lines {
		if strings.Contains(line, "IFB") || strings.Contains(line, " red: ") || strings.Contains(line, "dev red ") { // its address is chance
			lines[i] = random.ReplaceAllString(line, "")
		}
	}
	slices.Sort(lines)
	return lines
}

// filters are the node's rules of iptables, a line for each chain: their order says something.
func (w *world) filters() (lines []string) {
	w.Helper()
	for _, program := range []string{"iptables-save", "ip6tables-save"} {
		var chains []string
		rules := map[string]string{}
		for line := range strings.SplitSeq(w.in(w.node, program, "-t", "filter"), "\n") {
			if name, ok := strings.CutPrefix(line, ":"); ok {
				chains = append(chains, strings.Fields(name)[0])
			} else if words := strings.Fields(line); len(words) > 1 && words[0] == "-A" {
				rules[words[1]] += "\n\t" + strings.Join(words[2:], " ")
			}
		}
		for _, name := range chains {
			lines = append(lines, "node "+program+" "+name+":"+rules[name])
		}
	}
	return lines
}

// differences are the lines that only one of two has.
func differences(own, reference []string) (all []string) {
	count := map[string]int{}
	for _, line := range own {
		count[line]++
	}
	for _, line := range reference {
		count[line]--
	}
	for line, n := range count {
		switch {
		case n > 0:
			all = append(all, "here:      "+line)
		case n < 0:
			all = append(all, "reference: "+line)
		}
	}
	slices.Sort(all)
	return all
}

func (w *world) add(s Spec) (kind.Wired, json.RawMessage) {
	w.Helper()
	wired, state, err := w.runner.Add(context.Background(), w.call, s)
	w.must(err)
	return wired, state
}
