package bench

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/vishvananda/netlink"

	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// Pod is a Pod object of the bench's node.
type Pod struct{ Namespace, Name, UID string }

// Sandbox is what a container runtime makes before it calls CNI: an identity and a fresh network namespace.
type Sandbox struct {
	Pod
	ID    string
	netns string
}

// newSandbox makes one. The namespace has nothing but lo, which is up, as a runtime leaves it.
func newSandbox(p Pod) (Sandbox, error) {
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	s := Sandbox{Pod: p, ID: hex.EncodeToString(id)}
	s.netns = "tstbench-" + s.ID[:16]
	if err := wiring.CreateNamespace(s.netns); err != nil {
		return s, err
	}
	return s, wiring.In(s.netns, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
}

func (s Sandbox) remove() error { return wiring.DeleteNamespace(s.netns) }

// settle waits for the kernel, which takes removed namespaces apart behind our back, with the lock that all links share. It has no
// way to ask; a namespace that held nothing is gone in some ten milliseconds.
func settle(removed int) {
	time.Sleep(200*time.Millisecond + time.Duration(removed)*5*time.Millisecond)
}

// runtime is what containerd says of it.
func (s Sandbox) runtime(ifName string) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: s.ID,
		NetNS:       wiring.Path(s.netns),
		IfName:      ifName,
		Args: [][2]string{
			{"IgnoreUnknown", "1"},
			{"K8S_POD_NAMESPACE", s.Namespace},
			{"K8S_POD_NAME", s.Name},
			{"K8S_POD_INFRA_CONTAINER_ID", s.ID},
			{"K8S_POD_UID", s.UID},
		},
	}
}

// attached checks that the Pod has its interfaces (none named: eth0 and two more), up, with addresses, and a default route: a contender
// that does nothing is fast. It gives the addresses.
func (s Sandbox) attached(interfaces ...string) ([]netip.Addr, error) {
	if len(interfaces) == 0 {
		interfaces = []string{"eth0", "net1", "net2"}
	}
	var all []netip.Addr
	err := wiring.In(s.netns, func() error {
		for _, name := range interfaces {
			link, err := netlink.LinkByName(name)
			if err != nil {
				return fmt.Errorf("looking for %s: %w", name, err)
			}
			if link.Attrs().OperState == netlink.OperDown || link.Attrs().RawFlags&1 == 0 {
				return fmt.Errorf("%s is not up", name)
			}
			addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
			if err != nil {
				return err
			}
			n := len(all)
			for _, a := range addrs {
				if ip, _ := netip.AddrFromSlice(a.IP); ip.IsGlobalUnicast() {
					all = append(all, ip.Unmap())
				}
			}
			if len(all) == n {
				return fmt.Errorf("%s has no address", name)
			}
		}
		routes, err := netlink.RouteGet(netip.MustParseAddr("192.0.2.1").AsSlice())
		if err != nil || len(routes) == 0 {
			return fmt.Errorf("there is no default route: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the attached Pod %s is not right: %w", s.Name, err)
	}
	return all, nil
}

// detached checks that nothing but lo is left.
func (s Sandbox) detached() error {
	return wiring.In(s.netns, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		var left []string
		for _, l := range links {
			if l.Attrs().Name != "lo" {
				left = append(left, l.Attrs().Name)
			}
		}
		if len(left) > 0 {
			return errors.New("the detached Pod " + s.Name + " still has " + strings.Join(left, ", "))
		}
		return nil
	})
}

// unique checks that no address was given twice.
func unique(seen map[netip.Addr]string, addrs []netip.Addr, pod string) error {
	for _, a := range addrs {
		if other, ok := seen[a]; ok {
			return fmt.Errorf("%s was given to %s and to %s", a, other, pod)
		}
		seen[a] = pod
	}
	return nil
}
