package viptest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Keepalived is what Debian's keepalived is told on a node: one virtual router, whose address is VIP4 with VIP6 beside it.
type Keepalived struct {
	Router, Priority int
	// Interval is advert_int in seconds, as text.
	Interval string
	Version  int // 2 or 3
	Password string
	// Preempt takes the address from an owner of less priority.
	Preempt bool
	// OverIPv6 has VIP6 alone.
	OverIPv6 bool
	// API asks for the node's API server once a second, as the documentation of kubeadm has it.
	API bool
}

const askAPI = `vrrp_script api {
 script "/usr/bin/curl -sfk --max-time 1 https://127.0.0.1:6443/readyz -o /dev/null"
 interval 1
 fall 2
 user root
}
`

// Conf is keepalived.conf(5).
func (k Keepalived) Conf(node string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs { router_id %s\n vrrp_version %d }\n", node, k.Version)
	if k.API {
		b.WriteString(askAPI)
	}
	fmt.Fprintf(&b, "vrrp_instance v {\n state BACKUP\n interface eth0\n virtual_router_id %d\n priority %d\n advert_int %s\n", k.Router, k.Priority, k.Interval)
	if !k.Preempt {
		b.WriteString(" nopreempt\n")
	}
	if k.Password != "" {
		fmt.Fprintf(&b, " authentication { auth_type PASS\n auth_pass %s }\n", k.Password)
	}
	if k.OverIPv6 {
		fmt.Fprintf(&b, " virtual_ipaddress { %s/128 dev eth0 }\n", VIP6)
	} else {
		fmt.Fprintf(&b, " virtual_ipaddress { %s/32 dev eth0 }\n virtual_ipaddress_excluded { %s/128 dev eth0 }\n", VIP4, VIP6)
	}
	if k.API {
		b.WriteString(" track_script { api }\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// Start runs it on a node, with its files in dir.
func (k Keepalived) Start(n *Node, dir string, out io.Writer) (*Process, error) {
	file := func(of string) string { return filepath.Join(dir, n.Name+"."+of) }
	if err := os.WriteFile(file("conf"), []byte(k.Conf(n.Name)), 0o600); err != nil {
		return nil, fmt.Errorf("set up keepalived on %s: %w", n.Name, err)
	}
	for _, of := range []string{"main.pid", "vrrp.pid"} { // with a former one's it does not start
		os.Remove(file(of))
	}
	return n.Start(out, nil, "keepalived", "-n", "-l", "-P", "-f", file("conf"), "-p", file("main.pid"), "-r", file("vrrp.pid"))
}
