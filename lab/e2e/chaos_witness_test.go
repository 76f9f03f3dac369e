package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// use is one address on one interface, as the oracle reads it (ipam/iptest/oracle.Use): from when it was first seen to when it was last
// seen. So it is shorter than it was, and two that overlap were there at once.
type use struct {
	Domain      string     `json:"domain"`
	Address     netip.Addr `json:"address"`
	Node        string     `json:"node"`
	ContainerID string     `json:"containerID"` // the name of the sandbox's network namespace
	IfName      string     `json:"ifName"`
	Begin       time.Time  `json:"begin"`
	End         time.Time  `json:"end"`
}

// witness looks into the sandboxes of all nodes, again and again, and writes down which addresses the interfaces really have.
type witness struct {
	mu      sync.Mutex
	open    map[string]*use
	closed  []use
	samples int
	most    int // addresses at the same time
	looked  time.Duration
}

// watch samples until stop is closed.
func (w *witness) watch(stop <-chan struct{}, nodes func() []string) {
	w.open = map[string]*use{}
	for {
		began := time.Now()
		w.sample(nodes())
		took := time.Since(began)
		w.mu.Lock()
		w.samples++
		w.looked += took
		w.mu.Unlock()
		select {
		case <-stop:
			return
		case <-time.After(max(400*time.Millisecond, 2*took)):
		}
	}
}

func (w *witness) sample(nodes []string) {
	seen := map[string]bool{}
	for _, node := range nodes {
		for _, file := range sandboxes(node) {
			for _, at := range addressesIn(file) {
				key := fmt.Sprint(node, filepath.Base(file), at.ifName, at.address)
				seen[key] = true
				w.mu.Lock()
				u := w.open[key]
				if u == nil {
					u = &use{Domain: "lab", Address: at.address, Node: node, ContainerID: filepath.Base(file), IfName: at.ifName, Begin: at.when}
					w.open[key] = u
				}
				u.End = at.when
				w.mu.Unlock()
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most = max(w.most, len(seen))
	for key, u := range w.open {
		if !seen[key] {
			w.closed = append(w.closed, *u)
			delete(w.open, key)
		}
	}
}

// write gives what was seen to the oracle, one use a line.
func (w *witness) write(path string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := json.NewEncoder(f)
	all := w.closed
	for _, u := range w.open {
		all = append(all, *u)
	}
	for _, u := range all {
		if err := lines.Encode(u); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// sandboxes are the network namespaces that a node's container runtime has made.
func sandboxes(node string) []string {
	pids, err := lab.Processes(node, "containerd")
	if err != nil || len(pids) == 0 {
		return nil // it is being restarted, or removed
	}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/root/run/netns/cni-*", pids[0]))
	return files
}

type seenAddress struct {
	ifName  string
	address netip.Addr
	when    time.Time
}

// addressesIn reads a namespace's addresses. One that is being made or removed has none.
func addressesIn(file string) (out []seenAddress) {
	ns, err := netns.GetFromPath(file)
	if err != nil {
		return nil
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return nil
	}
	defer h.Close()
	links, err := h.LinkList()
	if err != nil {
		return nil
	}
	for _, l := range links {
		addrs, err := h.AddrList(l, netlink.FAMILY_ALL)
		if err != nil || l.Attrs().Name == "lo" {
			continue
		}
		for _, a := range addrs {
			ip, ok := netip.AddrFromSlice(a.IP)
			if ip = ip.Unmap(); ok && !ip.IsLinkLocalUnicast() {
				out = append(out, seenAddress{l.Attrs().Name, ip, time.Now()})
			}
		}
	}
	return out
}
