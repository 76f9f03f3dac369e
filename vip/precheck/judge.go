package precheck

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Facts are what was found on the node.
type Facts struct {
	Addresses []netip.Addr
	// Interface is the one for the addresses; NoInterface says why there is none.
	Interface, NoInterface string
	// Outside are addresses that no subnet of the interface has.
	Outside []netip.Addr
	// Own are addresses that are the node's own.
	Own []netip.Addr
	// Taken are addresses that somebody answers for, with the MAC.
	Taken map[netip.Addr]string
	// Runs tells that tsunagu-vip runs here; Owner who has the addresses then.
	Runs  bool
	Owner string
	// Members are the control-plane nodes, if that is known.
	Members int
	// API is where this node's API server was asked for its certificate; "" if
	// none listens. Missing are addresses that the certificate does not have.
	API     string
	Missing []netip.Addr
	// Installer is kubeadm, k3s, rke2 or "".
	Installer string
	// ServiceLB tells that K3s' own load balancer is not switched off.
	ServiceLB bool
	// Secret tells that the nodes' common secret is there.
	Secret bool
	// Others are programs that keep an address too: what and where.
	Others []string
	// NoFence says why the kernel cannot hold the fence.
	NoFence string

	// Routed: every node is to have the addresses, and routers to know it; nothing is asked of a segment. OnSegment says that a segment has them.
	Routed    bool
	OnSegment string
	// Peers are BGP's, and why none of them accepts a connection; "" for one that does.
	Peers map[string]string
	// Kubeconfigs are what a Lease would be read with, Kubeconfig the one that is there. No secret is shared with either.
	Kubeconfigs []string
	Kubeconfig  string
}

// Finding is one thing that was looked at.
type Finding struct {
	// Severity is ok, warning or error.
	Severity string `json:"severity"`
	What     string `json:"what"`
	Fix      string `json:"fix,omitempty"`
}

// Judge says what is wrong and what to do.
func Judge(f Facts) (all []Finding) {
	say := func(severity, fix, what string, args ...any) {
		all = append(all, Finding{severity, fmt.Sprintf(what, args...), fix})
	}
	if f.Routed {
		f.routed(say)
	} else if f.NoInterface != "" {
		say("error", "name the interface on the address's segment with --interface, or choose an address of a segment that the node is on", "%s", f.NoInterface)
	} else {
		say("ok", "", "interface %s", f.Interface)
	}
	for _, a := range f.Outside {
		say("warning", "choose an address of the interface's subnet, unless clients have a route to it over this segment", "%s is outside the subnets of %s: hosts will not ask for it there", a, f.Interface)
	}
	for _, a := range f.Own {
		say("error", "choose an address that no host has", "%s is this node's own address", a)
	}
	for _, a := range f.Addresses {
		switch mac := f.Taken[a]; {
		case f.Interface == "": // nobody could be asked, or need be
		case mac == "":
			say("ok", "", "nobody answers for %s", a)
		case f.Runs && f.Owner != "":
			say("ok", "", "%s is with %s (%s)", a, f.Owner, mac)
		default:
			say("error", "find the host with that MAC, or choose another address; a running kube-vip or keepalived is stopped first", "%s is taken: %s answers for it", a, mac)
		}
	}
	for _, a := range f.Missing {
		say("error", sanFix(f.Installer, a), "the API server's certificate (%s) does not have %s: clients will refuse it", f.API, a)
	}
	if f.API != "" && len(f.Missing) == 0 {
		say("ok", "", "the API server's certificate has every address")
	}
	switch {
	case f.Routed, len(f.Kubeconfigs) > 0: // no majority is needed
	case f.Members == 2:
		say("warning", "add a third control-plane node, or a witness (tsunagu-vip --weight=0 on any other machine)", "there are 2 control-plane nodes: if either is lost, nobody has the address")
	case f.Members > 0 && f.Members%2 == 0:
		say("warning", "use an odd number", "there are %d control-plane nodes: one more than %d bears no more losses", f.Members, f.Members-1)
	}
	if f.ServiceLB {
		say("warning", "start k3s with --disable=servicelb if Services of type LoadBalancer are to be served by something else", "K3s' own load balancer (servicelb) is on: it publishes the nodes' addresses for Services")
	}
	switch {
	case f.Routed, f.Kubeconfig != "":
	case len(f.Kubeconfigs) > 0:
		say("warning", "nothing, before kubeadm init or the first start of k3s or rke2; else name a kubeconfig whose user may write Leases with --kube-lease-kubeconfig",
			"no kubeconfig is there yet: %s", strings.Join(f.Kubeconfigs, ", "))
	case !f.Secret:
		say("warning", "nothing, before kubeadm init or the first start of k3s or rke2; else name the file with --key-file", "the secret that the control-plane nodes share is not there yet")
	}
	for _, o := range f.Others {
		say("warning", "remove it when tsunagu-vip takes over: two programs would claim one address", "%s", o)
	}
	if f.NoFence != "" {
		say("error", "use Linux 5.8 or newer, and give the process NET_ADMIN, NET_RAW, BPF and SYS_ADMIN", "the kernel does not hold the fence: %s", f.NoFence)
	}
	return all
}

// routed judges what is told to routers.
func (f Facts) routed(say func(severity, fix, what string, args ...any)) {
	if f.OnSegment != "" {
		say("error", "choose an address of no subnet, or --mode=lease", "%s", f.OnSegment)
	} else {
		say("ok", "", "no subnet of this node has the address: routers lead to it")
	}
	for _, peer := range slices.Sorted(maps.Keys(f.Peers)) {
		if why := f.Peers[peer]; why != "" {
			say("error", "on the router, name this node's address as a neighbour, and open TCP 179 between the two", "router %s accepts no BGP connection from this node: %s", peer, why)
		} else {
			say("ok", "", "router %s accepts connections", peer)
		}
	}
}

// sanFix is how to get an address into the API server's certificate.
func sanFix(installer string, a netip.Addr) string {
	switch installer {
	case "k3s", "rke2":
		return fmt.Sprintf("add tls-san: [%s] to /etc/rancher/%s/config.yaml (or --tls-san=%s), then restart %s; if that is not enough: %s certificate rotate", a, installer, a, installer, installer)
	case "kubeadm":
		return strings.Join([]string{"on each control-plane node: mv /etc/kubernetes/pki/apiserver.{crt,key} /root/",
			fmt.Sprintf("kubeadm init phase certs apiserver --apiserver-cert-extra-sans=%s", a), "and restart the API server's Pod; keep certSANs in the kubeadm-config ConfigMap for upgrades"}, "; ")
	}
	return fmt.Sprintf("make the certificate again with %s among its subject alternative names (kubeadm: --apiserver-cert-extra-sans=%s; k3s, rke2: --tls-san=%s)", a, a, a)
}
