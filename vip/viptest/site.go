package viptest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"sync/atomic"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// The addresses of a site; all of it is in namespaces of its own.
var (
	VIP4   = netip.MustParseAddr("10.77.0.100")
	VIP6   = netip.MustParseAddr("fd77::100")
	client = netip.MustParseAddr("10.77.0.9")
)

// echoPort is where every node answers the client, and answerPort where it says its name.
const (
	echoPort   = 6444
	AnswerPort = 6443
)

// Site is a switch, nodes and a client.
type Site struct {
	Nodes          []*Node
	Switch, Client *netns.Namespace
	name           string
	made           []string
	closers        []func()
}

// Node is a machine on the segment.
type Node struct {
	Name string
	IP   netip.Addr
	MAC  net.HardwareAddr
	NS   *netns.Namespace
	port string // in the switch
	cut  atomic.Bool
}

// New makes a site of namespaces whose names begin with name.
func New(name string, nodes int) (*Site, error) {
	s := &Site{name: name}
	if err := s.build(nodes); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Site) build(nodes int) (err error) {
	if s.Switch, err = s.space("sw"); err != nil {
		return err
	}
	if err = Inside(s.Switch, "ip link set lo up", "ip link add br0 type bridge", "ip link set br0 up"); err != nil {
		return err
	}
	if s.Client, err = s.space("c"); err != nil {
		return err
	}
	if err = s.plug("c", "10.77.0.9/24", "fd77::9/64"); err != nil {
		return err
	}
	for i := 1; i <= nodes; i++ {
		n := &Node{Name: fmt.Sprintf("n%d", i), port: fmt.Sprintf("pn%d", i), IP: netip.AddrFrom4([4]byte{10, 77, 0, byte(10 + i)})}
		if n.NS, err = s.space(n.Name); err != nil {
			return err
		}
		if err = s.plug(n.Name, n.IP.String()+"/24", fmt.Sprintf("fd77::%d/64", 10+i)); err != nil {
			return err
		}
		err = n.NS.Do(func() error {
			nic, err := net.InterfaceByName("eth0")
			if err == nil {
				n.MAC = nic.HardwareAddr
			}
			return errors.Join(err, s.echo(n))
		})
		if err != nil {
			return err
		}
		s.Nodes = append(s.Nodes, n)
	}
	return nil
}

func (s *Site) space(of string) (*netns.Namespace, error) {
	name := s.name + "-" + of
	ns, err := netns.Create(name)
	if err == nil {
		s.made = append(s.made, name)
		s.closers = append(s.closers, func() { ns.Close() })
	}
	return ns, err
}

// plug puts a cable between a namespace and the switch.
func (s *Site) plug(of, v4, v6 string) error {
	ns, err := netns.Open("/run/netns/" + s.name + "-" + of)
	if err != nil {
		return err
	}
	defer ns.Close()
	err = Inside(s.Switch, fmt.Sprintf("ip link add p%s type veth peer name eth0 netns %s-%s", of, s.name, of), fmt.Sprintf("ip link set p%s master br0 up", of))
	if err != nil {
		return err
	}
	return Inside(ns, "ip link set lo up", "ip addr add "+v4+" dev eth0", "ip addr add "+v6+" dev eth0 nodad", "ip link set eth0 up")
}

// echo answers the client: the node must have the address for it.
func (s *Site) echo(n *Node) error {
	for _, a := range []netip.Addr{VIP4, VIP6} {
		c, err := wire.ListenUDPHere(netip.AddrPortFrom(a, echoPort))
		if err != nil {
			return err
		}
		s.closers = append(s.closers, func() { c.Close() })
		go func() {
			var b [64]byte
			for {
				size, from, err := c.ReadFromUDPAddrPort(b[:])
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_, _ = c.WriteToUDPAddrPort(append(b[:size:size], n.Name...), from)
				}
			}
		}()
	}
	return nil
}

// Cut takes a node off the switch; its own cable looks fine.
func (s *Site) Cut(n *Node) error {
	n.cut.Store(true)
	return Inside(s.Switch, "ip link set "+n.port+" nomaster")
}

// Heal takes that back.
func (s *Site) Heal(n *Node) error {
	n.cut.Store(false)
	return Inside(s.Switch, "ip link set "+n.port+" master br0", "nft delete table bridge tst 2>/dev/null || true")
}

// Mute drops, in the switch, what a node sends to a UDP port: it hears and is not heard.
func (s *Site) Mute(n *Node, port int) error {
	return Inside(s.Switch, fmt.Sprintf(`nft 'add table bridge tst; add chain bridge tst f { type filter hook forward priority 0; }; add rule bridge tst f iifname "%s" ip protocol udp udp dport %d drop'`, n.port, port))
}

// Silence drops, in the switch, what a node says to its peers about who owns: a UDP port's datagrams, and VRRP.
func (s *Site) Silence(n *Node, port int) error {
	if err := s.Mute(n, port); err != nil {
		return err
	}
	return Inside(s.Switch, fmt.Sprintf(`nft 'add rule bridge tst f iifname "%s" ip protocol vrrp drop'`, n.port))
}

// Deafen drops what others send to a node's UDP port: it is heard and does not hear.
func (s *Site) Deafen(n *Node, port int) error {
	return Inside(s.Switch, fmt.Sprintf(`nft 'add table bridge tst; add chain bridge tst f { type filter hook forward priority 0; }; add rule bridge tst f oifname "%s" ip protocol udp udp dport %d drop'`, n.port, port))
}

// ByMAC is the node with a hardware address, or nil.
func (s *Site) ByMAC(mac string) *Node {
	for _, n := range s.Nodes {
		if n.MAC.String() == mac {
			return n
		}
	}
	return nil
}

// Close removes everything. Processes must have ended.
func (s *Site) Close() error {
	for _, c := range s.closers {
		c()
	}
	var errs []error
	for _, name := range s.made {
		errs = append(errs, netns.Delete(name))
	}
	return errors.Join(errs...)
}

// Inside runs shell commands in a namespace.
func Inside(ns *netns.Namespace, commands ...string) error {
	return ns.Do(func() error {
		for _, c := range commands {
			if out, err := exec.Command("sh", "-c", c).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", c, err, out)
			}
		}
		return nil
	})
}
