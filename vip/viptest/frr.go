package viptest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// FRR is Debian's routing daemon in the client's namespace, which is the nodes' router then: what it learns is in its kernel's table.
type FRR struct {
	AS    uint32
	Peers []FRRPeer
	dir   string
	procs []*Process
}

// FRRPeer is a neighbour.
type FRRPeer struct {
	Address  string
	AS       uint32
	Password string
	BFD      bool
}

// conf is bgpd's; equal routes are used side by side.
func (f *FRR) conf() string {
	var b strings.Builder
	fmt.Fprintf(&b, "router bgp %d\n bgp router-id %s\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n timers bgp 3 9\n", f.AS, client)
	for _, p := range f.Peers {
		fmt.Fprintf(&b, " neighbor %s remote-as %d\n neighbor %s passive\n", p.Address, p.AS, p.Address)
		if p.Password != "" {
			fmt.Fprintf(&b, " neighbor %s password %s\n", p.Address, p.Password)
		}
		if p.BFD {
			fmt.Fprintf(&b, " neighbor %s bfd 3 100 100\n", p.Address)
		}
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(&b, " address-family %s unicast\n  maximum-paths 8\n", family)
		for _, p := range f.Peers {
			if strings.Contains(p.Address, ":") == (family == "ipv6") {
				fmt.Fprintf(&b, "  neighbor %s activate\n", p.Address)
			}
		}
		b.WriteString(" exit-address-family\n")
	}
	return b.String()
}

// Start runs zebra, bgpd and bfdd; their files are in dir, whose path is short enough for sockets.
func (f *FRR) Start(s *Site, out io.Writer, dir string) error {
	f.dir = dir
	who, err := user.Lookup("frr") // its group may use the terminals, root may not
	if err != nil {
		return fmt.Errorf("who runs FRR: %w", err)
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, uid, gid)); err != nil {
		return fmt.Errorf("give FRR its folder: %w", err)
	}
	router := &Node{Name: "router", NS: s.Client}
	for _, d := range []struct{ name, conf string }{{"zebra", ""}, {"bfdd", ""}, {"bgpd", f.conf()}} {
		path := filepath.Join(dir, d.name+".conf")
		if err := os.WriteFile(path, []byte(d.conf), 0o644); err != nil {
			return fmt.Errorf("write %s's configuration: %w", d.name, err)
		}
		args := []string{"/usr/lib/frr/" + d.name, "-f", path, "-i", filepath.Join(dir, d.name+".pid"), "-z", filepath.Join(dir, "zserv"), "--vty_socket", dir,
			"-P", "0", "--log", "stdout"}
		switch d.name {
		case "bfdd":
			args = append(args, "--bfdctl", filepath.Join(dir, "bfdd.sock"))
		case "bgpd":
			args = append(args, "-p", "179")
		}
		p, err := router.Start(out, nil, args...)
		if err != nil {
			return err
		}
		f.procs = append(f.procs, p)
	}
	return nil
}

// Stop ends it.
func (f *FRR) Stop() {
	for i := len(f.procs) - 1; i >= 0; i-- {
		f.procs[i].Stop()
	}
	f.procs = nil
}

// Ask is vtysh -c.
func (f *FRR) Ask(command string) string {
	b, _ := exec.Command("vtysh", "--vty_socket", f.dir, "-c", command).CombinedOutput()
	return string(b)
}

// Learned are the routes that the router has from BGP.
func Learned(router *netns.Namespace) (text string, err error) {
	err = router.Do(func() error {
		b, err := exec.Command("sh", "-c", "ip -4 route show proto bgp; ip -6 route show proto bgp").CombinedOutput()
		text = string(b)
		return err
	})
	return text, err
}
