package legacy

import (
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// HostLocal is the data folder of host-local on one node
// (/var/lib/cni/networks unless dataDir says otherwise): a folder per network,
// in it a file per address that holds the container's ID and, behind CR LF, the
// interface's name. Versions before 0.7 wrote the ID alone.
type HostLocal struct {
	Node        string
	Dir         fs.FS
	Definitions []Definition
}

// mostBytes is the longest file that can be a reservation.
const mostBytes = 4096

// Read turns the files into records. Only networks of definitions are read:
// that of the pod network is here too, and is not tsunagu's to take over.
func (h HostLocal) Read() (Found, error) {
	var found Found
	known := map[string]bool{}
	for _, d := range h.Definitions {
		networks, err := d.networks()
		if err != nil {
			found.problem(Problem{Kind: Unreadable, Source: "NetworkAttachmentDefinition " + d.String(), Message: err.Error(), Fix: "correct it"})
		}
		for _, n := range networks {
			known[n.name] = known[n.name] || n.kind == FromHostLocal
		}
	}
	folders, err := fs.ReadDir(h.Dir, ".")
	if err != nil {
		return found, fmt.Errorf("list host-local's folder of node %s: %w", h.Node, err)
	}
	for _, f := range folders {
		switch {
		case !f.IsDir():
		case !known[f.Name()]:
			if n := h.count(f.Name()); n > 0 {
				found.problem(Problem{Kind: UnknownNetwork, Source: h.Node + ":" + f.Name(), Lost: false,
					Message: fmt.Sprintf("%d addresses of network %q are not read: no NetworkAttachmentDefinition of ipam type host-local has that name", n, f.Name()),
					Fix:     "none needed for the network that the node's own CNI configuration makes"})
			}
		default:
			if err := h.network(&found, f.Name()); err != nil {
				return found, err
			}
		}
	}
	found.sort()
	return found, nil
}

func (h HostLocal) count(folder string) (n int) {
	files, _ := fs.ReadDir(h.Dir, folder)
	for _, f := range files {
		if _, ok := fileAddress(f.Name()); ok {
			n++
		}
	}
	return n
}

// fileAddress reads the name of a file; on Windows, where these files may be
// copied to, host-local writes _ for a colon.
func fileAddress(name string) (netip.Addr, bool) {
	if runtime.GOOS == "windows" || strings.Contains(name, "_") {
		name = strings.ReplaceAll(name, "_", ":")
	}
	a, err := netip.ParseAddr(name)
	return a.Unmap(), err == nil && a.Zone() == ""
}

func (h HostLocal) network(found *Found, folder string) error {
	files, err := fs.ReadDir(h.Dir, folder)
	if err != nil {
		return fmt.Errorf("list network %s of node %s: %w", folder, h.Node, err)
	}
	for _, f := range files {
		if f.IsDir() || f.Name() == "lock" || strings.HasPrefix(f.Name(), "last_reserved_ip.") {
			continue
		}
		source := h.Node + ":" + path.Join(folder, f.Name())
		address, ok := fileAddress(f.Name())
		if !ok {
			found.problem(Problem{Kind: Unreadable, Source: source, Lost: true, Message: fmt.Sprintf("%q is no address", f.Name()), Fix: "none needed if it is no file of host-local"})
			continue
		}
		raw, err := fs.ReadFile(h.Dir, path.Join(folder, f.Name()))
		if err != nil {
			return fmt.Errorf("read %s: %w", source, err)
		}
		one := Record{Origin: FromHostLocal, Domain: ipam.DomainOf(folder), Address: address, Node: h.Node, Source: source}
		if one.ContainerID, one.IfName, err = reserved(raw); err != nil {
			found.problem(Problem{Kind: Unreadable, Address: address, Source: source, Message: err.Error(), Fix: "none needed: the address is taken over if a Pod of that node has it"})
		}
		found.Records = append(found.Records, one)
	}
	return nil
}

// reserved reads what a file says.
func reserved(raw []byte) (containerID, ifName string, err error) {
	if len(raw) > mostBytes {
		return "", "", fmt.Errorf("has %d bytes, which is no container's ID", len(raw))
	}
	lines := strings.FieldsFunc(strings.TrimSpace(string(raw)), func(c rune) bool { return c == '\r' || c == '\n' })
	if len(lines) == 0 {
		return "", "", fmt.Errorf("is empty: host-local was cut short while it wrote it")
	}
	if len(lines) > 1 {
		ifName = strings.TrimSpace(lines[1])
	}
	return strings.TrimSpace(lines[0]), ifName, nil
}

// Folders are the networks of definitions that count their addresses on each
// node, by the name of their folder.
func Folders(definitions []Definition) []string {
	var names []string
	for _, d := range definitions {
		networks, _ := d.networks()
		for _, n := range networks {
			if n.kind == FromHostLocal && !slices.Contains(names, n.name) {
				names = append(names, n.name)
			}
		}
	}
	slices.Sort(names)
	return names
}
