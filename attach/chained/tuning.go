package chained

import (
	"encoding/json"
	"maps"
	"net"
	"path"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// Tuning changes properties of an interface, and sysctls of its Pod. Where the interface is built in, MAC and MTU are given to it when it
// is made: the chain finds them as they should be.
type Tuning struct {
	// Sysctls by key as it was written, such as "net.ipv4.conf.IFNAME.arp_filter"; IFNAME stands for the interface.
	Sysctls map[string]string
	// MAC is nil, MTU 0 for leaving it as it is. The others are nil for that.
	MAC          net.HardwareAddr
	MTU          int
	Promisc      bool
	AllMulticast *bool
	QueueLength  *uint32
}

// Type is the plugin's name.
func (Tuning) Type() string { return "tuning" }

func parseTuning(raw []byte) (Spec, error) {
	f := readFields("tuning", "", raw)
	t := Tuning{Sysctls: map[string]string{}}
	var dir string
	f.into("dataDir", "a text", &dir) // where the plugin keeps what was before; here that is the agent's record
	t.read(f)
	args := f.cniArgs() // they win; whatever else is in there is for others
	t.read(args)
	if f.err == nil {
		f.err = args.err
	}
	return t, f.end()
}

// read takes what an object says; what it does not say stays as it is.
func (t *Tuning) read(f *fields) {
	var sysctls map[string]json.RawMessage
	f.into("sysctl", "an object of texts", &sysctls)
	for _, key := range slices.Sorted(maps.Keys(sysctls)) {
		var value string
		if err := json.Unmarshal(sysctls[key], &value); err != nil {
			f.fail("sysctl", "the value of %q must be a text in quotation marks, have %s", key, shorten(sysctls[key]))
		} else if _, ok := sysctlPath(key, "eth0"); !ok {
			f.fail("sysctl", "%q is none of the network: it must begin with \"net.\"", key)
		} else if strings.ContainsAny(value, "\n\x00") {
			f.fail("sysctl", "the value of %q has more than one line", key)
		} else {
			t.Sysctls[key] = value
		}
	}
	var mac string
	if f.into("mac", "a text", &mac) && mac != "" {
		var err error
		if t.MAC, err = kind.ParseMAC(mac); err != nil {
			f.fail("mac", "%v", err)
		}
	}
	if mtu, ok := f.number("mtu", 0, 65535); ok {
		if mtu != 0 && mtu < 68 {
			f.fail("mtu", "%d is not an MTU, it is 68 to 65535", mtu)
		}
		t.MTU = mtu
	}
	if promisc := f.flag("promisc"); promisc != nil {
		t.Promisc = *promisc
	}
	if all := f.flag("allmulti"); all != nil {
		t.AllMulticast = all
	}
	if n, ok := f.number("txQLen", 0, 1<<31-1); ok {
		length := uint32(n)
		t.QueueLength = &length
	}
}

// sysctlPath is where a sysctl is below net; false for what is not below net. Dots are slashes, as the plugin reads them, and the name of
// an interface that has dots comes in by IFNAME.
func sysctlPath(key, ifName string) (string, bool) {
	key = strings.ReplaceAll(key, ".", "/")
	key = strings.Replace(key, "IFNAME", ifName, 1)
	below, ok := strings.CutPrefix(key, "net/")
	if !ok || below == "" || path.Clean(below) != below || strings.ContainsAny(below, "\x00\n") {
		return "", false
	}
	return below, true
}
