// Package look gathers, on a node, the facts that package precheck judges.
//
// It owns where they are found. Start at Node.
package look

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/fence"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
	"github.com/tsunagu-net/tsunagu/vip/control"
	"github.com/tsunagu-net/tsunagu/vip/precheck"
	"github.com/tsunagu-net/tsunagu/vip/segment"
)

// Where says what to look at.
type Where struct {
	Addresses []netip.Addr
	Interface string
	APIPort   uint16
	// Root is the node's root folder, Socket that of a tsunagu-vip that may run.
	Root, Socket string
	Secrets      []string
	// Routed: nothing is asked of a segment. Peers are BGP's.
	Routed bool
	Peers  []netip.AddrPort
	// Kubeconfigs are what a Lease would be read with; none in other modes.
	Kubeconfigs []string
}

// Node gathers the facts.
func Node(ctx context.Context, w Where) (precheck.Facts, error) {
	f := facts{Addresses: w.Addresses, Taken: map[netip.Addr]string{}}
	f.Installer, f.ServiceLB = installer(w.Root)
	f.Others = others(w.Root)
	f.Secret = slices.ContainsFunc(w.Secrets, func(p string) bool { return exists(filepath.Join(w.Root, p)) })
	if s, err := control.NewClient(w.Socket).Status(ctx); err == nil {
		f.Runs, f.Owner, f.Members = true, s.Owner, len(s.Members)
	}
	f.certificate(ctx, w)
	f.Kubeconfigs = w.Kubeconfigs
	for _, p := range w.Kubeconfigs {
		if f.Kubeconfig == "" && exists(filepath.Join(w.Root, p)) {
			f.Kubeconfig = p
		}
	}
	if f.Routed = w.Routed; f.Routed {
		f.routers(ctx, w.Peers)
		return precheck.Facts(f), nil
	}
	place, err := segment.Locate(w.Interface, w.Addresses)
	if err != nil {
		f.NoInterface = err.Error()
	}
	f.Interface, f.Outside = place.Interface, place.Outside
	x, err := fence.New()
	if err != nil {
		f.NoFence = err.Error()
	} else {
		x.Close()
	}
	if f.Interface == "" {
		return precheck.Facts(f), nil
	}
	err = f.segment(ctx)
	return precheck.Facts(f), err
}

// facts are those of precheck, while they are gathered.
type facts precheck.Facts

// segment asks who has the addresses.
func (f *facts) segment(ctx context.Context) error {
	c, err := link.DialHere()
	if err != nil {
		return err
	}
	defer c.Close()
	have, err := c.Addresses()
	if err != nil {
		return err
	}
	for _, a := range have {
		if slices.Contains(f.Addresses, a.Prefix.Addr()) && !a.Prefix.IsSingleIP() {
			f.Own = append(f.Own, a.Prefix.Addr())
		}
	}
	nic, err := c.ByName(f.Interface)
	if err != nil {
		return err
	}
	var questions []wire.Question
	for _, a := range f.Addresses {
		questions = append(questions, wire.Question{Index: nic.Index, MAC: nic.MAC, Target: a})
	}
	asker, err := wire.AskHere(questions)
	if err != nil {
		return err
	}
	defer asker.Close()
	seen, err := asker.Ask(ctx, 3, time.Second)
	if err != nil {
		return fmt.Errorf("ask who has the addresses: %w", err)
	}
	for _, s := range seen {
		f.Taken[s.Target] = s.MAC.String()
	}
	if f.Runs { // the node does not hear its own answer
		for _, a := range have {
			if slices.Contains(f.Addresses, a.Prefix.Addr()) && a.Prefix.IsSingleIP() {
				f.Taken[a.Prefix.Addr()] = nic.MAC.String()
			}
		}
	}
	return nil
}

// routers are connected to and left at once: one that does not know this node refuses it, or ends the connection before it says a word.
func (f *facts) routers(ctx context.Context, peers []netip.AddrPort) {
	f.Peers = map[string]string{}
	for _, p := range peers {
		d := net.Dialer{Timeout: 2 * time.Second}
		c, err := d.DialContext(ctx, "tcp", p.String())
		if f.Peers[p.String()] = ""; err != nil {
			f.Peers[p.String()] = err.Error()
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		var b [1]byte
		if _, err := c.Read(b[:]); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			f.Peers[p.String()] = "it ends the connection at once: " + err.Error()
		}
		c.Close()
	}
}

// certificate looks at that of the node's API server.
func (f *facts) certificate(ctx context.Context, w Where) {
	at := net.JoinHostPort("127.0.0.1", fmt.Sprint(w.APIPort))
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 2 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true}} // only read
	c, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return
	}
	defer c.Close()
	f.API = at
	chain := c.(*tls.Conn).ConnectionState().PeerCertificates
	for _, a := range w.Addresses {
		if len(chain) == 0 || !slices.ContainsFunc(chain[0].IPAddresses, func(ip net.IP) bool { return ip.Equal(a.AsSlice()) }) {
			f.Missing = append(f.Missing, a)
		}
	}
}

// installer tells what set the node up, and whether K3s' servicelb is on.
func installer(root string) (name string, serviceLB bool) {
	for _, x := range []struct{ name, path string }{{"rke2", "/var/lib/rancher/rke2"}, {"k3s", "/var/lib/rancher/k3s"}, {"kubeadm", "/etc/kubernetes/manifests"}} {
		if exists(filepath.Join(root, x.path)) {
			name = x.name
			break
		}
	}
	if name != "k3s" {
		return name, false
	}
	said, _ := os.ReadFile(filepath.Join(root, "/etc/rancher/k3s/config.yaml"))
	lines, _ := filepath.Glob(filepath.Join(root, "/proc/[0-9]*/cmdline"))
	for _, path := range lines {
		line, _ := os.ReadFile(path)
		if bytes.Contains(line, []byte("k3s")) {
			said = append(append(said, '\n'), line...)
		}
	}
	return name, !bytes.Contains(said, []byte("servicelb"))
}

// others are programs that keep an address too.
func others(root string) (all []string) {
	for _, pattern := range []string{"/etc/kubernetes/manifests/*", "/var/lib/rancher/*/agent/pod-manifests/*", "/var/lib/rancher/*/server/manifests/*"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, path := range found {
			raw, err := os.ReadFile(path)
			if err == nil && bytes.Contains(raw, []byte("kube-vip")) {
				all = append(all, "kube-vip is in "+strings.TrimPrefix(path, strings.TrimSuffix(root, "/")))
			}
		}
	}
	if exists(filepath.Join(root, "/etc/keepalived/keepalived.conf")) {
		all = append(all, "keepalived is configured in /etc/keepalived/keepalived.conf")
	}
	return all
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
