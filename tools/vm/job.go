package main

import (
	"fmt"
	"os"
	"strings"
)

// testModules are loaded before the tests, by name: nothing inside depends on
// the kernel asking for a module at the right moment.
var testModules = []string{
	"8021q", "bridge", "br_netfilter", "veth", "macvlan", "ipvlan", "dummy", "vrf", "bonding", "ifb", "tun", "vxlan",
	"sch_netem", "sch_tbf", "sch_ingress", "sch_fq_codel", "cls_bpf", "cls_u32", "cls_matchall", "act_bpf", "act_mirred", "act_vlan",
	"nf_tables", "nfnetlink", "nf_conntrack", "nf_nat", "nft_ct", "nft_nat", "nft_masq", "nft_chain_nat", "nft_reject_inet", "nft_fib_inet", "nft_limit", "nft_log",
	"nf_conntrack_netlink", "nft_compat", "xt_comment", "xt_mark", "xt_conntrack", "xt_nat", "xt_MASQUERADE", "xt_addrtype", "xt_tcpudp", "xt_multiport",
	"ip_tables", "iptable_nat", "iptable_filter", "ip6_tables", "ip6table_nat", "ip6table_filter",
	"openvswitch", "af_packet", "inet_diag", "tcp_diag", "udp_diag",
}

// preamble makes the machine a place where a test of this machine feels at
// home: the same PATH and cache, a loopback that is up, addresses without delay.
func preamble() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "/root/.cache"
	}
	return fmt.Sprintf(`stty -F /dev/ttyS1 raw -echo 2>/dev/null
export PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/tmp XDG_CACHE_HOME=%s TSUNAGU_VM=1 LANG=C.UTF-8
modprobe -a %s
ip link set lo up
sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 net.bridge.bridge-nf-call-arptables=0
`, quote(cache), strings.Join(testModules, " "))
}

const epilogue = "echo '" + ended + "'\nsync\nsleep 0.2\nbusybox poweroff -f\n"

func shellJob(root, command string) string {
	return preamble() + "cd " + quote(root) + "\n( " + command + "\n)\necho \"" + exited + "$?\"\n" + epilogue
}

// quote is a word for sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// testJob runs the test programs one after the other, each in the directory of
// its package as go test does, and says what each came to.
func testJob(suites []suite, o options) string {
	var b strings.Builder
	b.WriteString(preamble())
	for i, s := range suites {
		if s.binary == "" {
			continue
		}
		arguments := "-test.v -test.timeout=" + o.timeout.String()
		switch {
		case len(s.bench) > 0:
			arguments += " -test.run='^$' -test.bench=" + quote(only(s.bench))
		case !s.whole:
			arguments += " -test.run=" + quote(only(s.tests))
		case o.match != "":
			arguments += " -test.run=" + quote(o.match)
		}
		fmt.Fprintf(&b, "echo '%s%d'\ncd %s\n%s %s\necho \"%s%d $?\"\n", begins, i, quote(s.dir), s.binary, arguments, ends, i)
	}
	return b.String() + epilogue
}

// only is the pattern that matches these functions and no others.
func only(names []string) string { return "^(" + strings.Join(names, "|") + ")$" }
