package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// The ways between two Pods on two nodes. Each has a pair of nodes and a switch of its own, so that nobody's rules are in another's way.
const (
	oursWay  = "tsunagu"
	plainWay = "plain routes"
	vxlanWay = "VXLAN with FDB"
)

// paths makes two nodes and two Pods for each way.
func (w *World) paths(ctx context.Context) ([]path, error) {
	all := make([]path, 0, 3)
	ours, err := w.oursPath(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s between two nodes: %w", oursWay, err)
	}
	all = append(all, ours)
	for i, name := range []string{plainWay, vxlanWay} {
		p, err := handMade(name, byte(91+i), name == vxlanWay)
		if err != nil {
			return nil, fmt.Errorf("%s between two nodes: %w", name, err)
		}
		all = append(all, p)
	}
	threads := findKernelThreads(filepath.Join(w.work, hostProc))
	for i := range all {
		all[i].threads = threads
	}
	return all, nil
}

// second is the node that exists for packets only: another agent, in its own network namespace, with folders of its own.
const second, secondNamespace = "bench2", "tstbench-two"

const secondNode = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"bench2"},"spec":{"podCIDR":"10.244.4.0/24","podCIDRs":["10.244.4.0/24","fd00:10:244:4::/64"]}}`

const secondStatus = `{"status":{"addresses":[{"type":"InternalIP","address":"172.30.0.2"},{"type":"InternalIP","address":"fd00:30::2"}]}}`

// oursPath starts an agent on a second node, and attaches a Pod on each by CNI.
func (w *World) oursPath(ctx context.Context) (path, error) {
	p := path{name: oursWay}
	if err := wiring.CreateNamespace(secondNamespace); err != nil {
		return p, err
	}
	if err := wiring.Machine(secondNamespace, nil); err != nil {
		return p, err
	}
	port := wiring.Port{Machine: "n2", Namespace: secondNamespace, Segment: "eth0",
		Addresses: []netip.Prefix{netip.MustParsePrefix("172.30.0.2/24"), netip.MustParsePrefix("fd00:30::2/64")}}
	if err := uplinkSwitch.Plug(port); err != nil {
		return p, err
	}
	if err := w.api.apply(ctx, "/api/v1/nodes/"+second, secondNode); err != nil {
		return p, err
	}
	if err := w.api.call(ctx, "PATCH", "/api/v1/nodes/"+second+"/status", "application/merge-patch+json", []byte(secondStatus), nil); err != nil {
		return p, err
	}
	near, err := w.api.pod(ctx, "near", nodeName, "")
	if err != nil {
		return p, err
	}
	far, err := w.api.pod(ctx, "far", second, "")
	if err != nil {
		return p, err
	}
	conf := filepath.Join(w.work, "two", "net.d")
	bin := filepath.Join(w.work, "two", "bin")
	if err := errors.Join(os.MkdirAll(conf, 0o755), os.MkdirAll(bin, 0o755)); err != nil {
		return p, err
	}
	if err := wiring.In(secondNamespace, func() (err error) {
		w.other, err = launchAgent(w.programs, w.work, w.api.kubeconfig, second,
			"--run-dir=/run/tsunagu-two", "--cni-conf-dir="+conf, "--cni-bin-dir="+bin, "--http=")
		return err
	}); err != nil {
		return p, err
	}
	if err := w.other.wait(60*time.Second, func() error { _, err := os.Stat(filepath.Join(conf, confName)); return err }); err != nil {
		return p, err
	}
	list, err := libcni.ConfListFromFile(filepath.Join(conf, confName))
	if err != nil {
		return p, err
	}
	there := &Contender{Name: Ours, networks: []network{{list, "eth0"}}, cni: libcni.NewCNIConfigWithCacheDir([]string{bin}, filepath.Join(w.work, "cache", "two"), nil)}
	for _, end := range []struct {
		by  *Contender
		pod Pod
		ns  *string
	}{{w.contender(Ours), near, &p.from}, {there, far, &p.to}} {
		s, err := newSandbox(end.pod)
		if err != nil {
			return p, err
		}
		*end.ns = s.netns
		if err := end.by.Add(ctx, s); err != nil {
			return p, err
		}
	}
	p.address, err = firstIPv4(p.to)
	return p, err
}

func firstIPv4(namespace string) (found netip.Addr, err error) {
	err = wiring.In(namespace, func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil || len(addrs) == 0 {
			return fmt.Errorf("eth0 has no IPv4 address: %w", err)
		}
		found, _ = netip.AddrFromSlice(addrs[0].IP.To4())
		return nil
	})
	return found, err
}

// handMade makes two nodes, each with a Pod behind a routed veth, and the way between them: routes to the other node's address, or a
// VXLAN device with one route, one neighbour and one forwarding entry per node, as flannel makes them.
func handMade(name string, subnet byte, vxlan bool) (path, error) {
	p := path{name: name}
	tag := fmt.Sprintf("tstbench-%d", subnet)
	sw := wiring.Switch{Namespace: tag + "-switch"}
	if err := sw.Create([]string{"eth0"}); err != nil {
		return p, err
	}
	mtu := 1500
	if vxlan {
		mtu = 1450
	}
	for i := byte(1); i <= 2; i++ {
		node, pod := fmt.Sprintf("%s-node%d", tag, i), fmt.Sprintf("%s-pod%d", tag, i)
		for _, ns := range []string{node, pod} {
			if err := wiring.CreateNamespace(ns); err != nil {
				return p, err
			}
			if err := wiring.Machine(ns, nil); err != nil {
				return p, err
			}
		}
		port := wiring.Port{Machine: fmt.Sprintf("n%d", i), Namespace: node, Segment: "eth0",
			Addresses: []netip.Prefix{netip.PrefixFrom(underlay(i), 24)}}
		if err := sw.Plug(port); err != nil {
			return p, err
		}
		address := netip.AddrFrom4([4]byte{10, subnet, i, 5})
		if err := routedPod(node, pod, address, mtu); err != nil {
			return p, fmt.Errorf("attaching the Pod of %s: %w", node, err)
		}
		other := 3 - i
		way := plainRoute
		if vxlan {
			way = vxlanRoute
		}
		if err := wiring.In(node, func() error { return way(subnet, i, other) }); err != nil {
			return p, fmt.Errorf("routing on %s: %w", node, err)
		}
		if i == 1 {
			p.from = pod
		} else {
			p.to, p.address = pod, address
		}
	}
	return p, nil
}

func underlay(node byte) netip.Addr { return netip.AddrFrom4([4]byte{172, 30, 0, node}) }

func network24(a, b, c byte) *net.IPNet {
	return &net.IPNet{IP: net.IPv4(a, b, c, 0).To4(), Mask: net.CIDRMask(24, 32)}
}

// routedPod makes a veth as our side does: addresses without a subnet, the node as gateway.
func routedPod(node, pod string, address netip.Addr, mtu int) error {
	inside, err := os.Open(wiring.Path(pod))
	if err != nil {
		return err
	}
	defer inside.Close()
	host := &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(32, 32)}
	gateway := net.IPv4(169, 254, 1, 1).To4()
	mac := net.HardwareAddr{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}
	if err := wiring.In(node, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU, attrs.HardwareAddr = "pod0", mtu, mac
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(inside.Fd())}); err != nil {
			return err
		}
		link, err := netlink.LinkByName("pod0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		setProxy("pod0")
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: host, Scope: netlink.SCOPE_LINK})
	}); err != nil {
		return err
	}
	return wiring.In(pod, func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: host}); err != nil {
			return err
		}
		if err := netlink.NeighAdd(&netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: gateway, HardwareAddr: mac}); err != nil {
			return err
		}
		everywhere := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: everywhere, Gw: gateway, Flags: int(netlink.FLAG_ONLINK)})
	})
}

// setProxy lets the node answer for the gateway, which is no address of its own.
func setProxy(device string) {
	_ = os.WriteFile("/proc/sys/net/ipv4/conf/"+device+"/proxy_arp", []byte("1"), 0o644)
}

func plainRoute(subnet, _, other byte) error {
	return netlink.RouteAdd(&netlink.Route{Dst: network24(10, subnet, other), Gw: underlay(other).AsSlice()})
}

// vxlanRoute follows flannel's VXLAN backend.
func vxlanRoute(subnet, own, other byte) error {
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	mac := func(node byte) net.HardwareAddr { return net.HardwareAddr{0x02, 0x74, 0x73, 0, 0, node} }
	end := func(node byte) net.IP { return net.IPv4(10, subnet, node, 0).To4() }
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = "vx0", 1450, mac(own)
	if err := netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: 1, VtepDevIndex: eth0.Attrs().Index, SrcAddr: underlay(own).AsSlice(), Port: 8472, Learning: false}); err != nil {
		return err
	}
	link, err := netlink.LinkByName("vx0")
	if err != nil {
		return err
	}
	index := link.Attrs().Index
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: end(own), Mask: net.CIDRMask(32, 32)}}); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if err := netlink.NeighSet(&netlink.Neigh{LinkIndex: index, State: netlink.NUD_PERMANENT, IP: end(other), HardwareAddr: mac(other)}); err != nil {
		return err
	}
	if err := netlink.NeighSet(&netlink.Neigh{LinkIndex: index, Family: unix.AF_BRIDGE, Flags: netlink.NTF_SELF, State: netlink.NUD_PERMANENT,
		IP: underlay(other).AsSlice(), HardwareAddr: mac(other)}); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: network24(10, subnet, other), Gw: end(other), Flags: int(netlink.FLAG_ONLINK)})
}
