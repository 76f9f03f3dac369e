package kind

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/ovs"
)

// OVS is a port of a bridge of Open vSwitch, with the options of ovs-cni.
type OVS struct {
	plain
	// Bridge is one that the switch has: it is never made here.
	Bridge string
	// Tag makes it an access port of a VLAN, nil one that carries all, or those of Trunk.
	Tag   *uint16
	Trunk []link.VLANs
	MTU   int
	// Number is the OpenFlow port number asked for, 0 for any.
	Number uint16
	// Interface is the switch's type of interface; "" is one of the kernel.
	Interface string
	// ConfigPath is a file of the node with the options below, before the usual ones.
	ConfigPath string
	ovsAccess
}

// ovsAccess are options that a file of the node may give too.
type ovsAccess struct {
	// Socket of the switch's database.
	Socket string `json:"socket_file"`
	// Tries and Interval (in milliseconds) are how often its port is asked whether it is up.
	Tries    int `json:"link_state_check_retries"`
	Interval int `json:"link_state_check_interval"`
}

// OVSPort is how a port is on the switch.
type OVSPort struct {
	Socket string   `json:"socket"`
	Bridge string   `json:"bridge"`
	Tag    *uint16  `json:"tag,omitempty"`
	Trunks []uint16 `json:"trunks,omitempty"`
	Number uint16   `json:"number,omitempty"`
	Type   string   `json:"type,omitempty"`
}

func parseOVS(f *fields) (Spec, error) {
	s := OVS{
		Bridge: f.text("bridge"), Tag: f.tag("vlan"), Trunk: f.trunk("trunk", 0), MTU: f.mtu(),
		Number: uint16(f.number("ofport_request", 0, 65279)), Interface: f.text("interface_type"),
		ConfigPath: f.text("configuration_path"),
		ovsAccess: ovsAccess{Socket: f.text("socket_file"), Tries: f.number("link_state_check_retries", 0, 1000),
			Interval: f.number("link_state_check_interval", 0, 60_000)},
	}
	runtime := f.object("runtimeConfig")
	if f.text("deviceID") != "" || runtime.text("deviceID") != "" {
		f.refuse("deviceID", `the representor of a virtual function is not put on a switch yet; use type "sriov" for the function, or a port without one`)
	}
	f.adopt("runtimeConfig", runtime)
	if s.Bridge == "" {
		f.fail("bridge", "failed to get bridge name")
	}
	if len(s.Trunk) > 0 {
		s.Tag = nil // as in ovs-cni
	}
	s.ignored = f.warnings()
	return s, f.err
}

// tag reads a VLAN that may be none.
func (f *fields) tag(key string) *uint16 {
	var n *int
	f.into(key, "a whole number", &n)
	if n == nil {
		return nil
	}
	if *n < 0 || *n > 4094 {
		f.fail(key, "want a number from 0 to 4094, have %d", *n)
		return nil
	}
	id := uint16(*n)
	return &id
}

// ovsFiles are where ovs-cni looks for options of the node.
var ovsFiles = []string{"/etc/kubernetes/cni/net.d/ovs.d/ovs.conf", "/etc/cni/net.d/ovs.d/ovs.conf"}

// access completes the options by the first file of the node that is there.
func (s OVS) access() (ovsAccess, error) {
	a := s.ovsAccess
	for _, name := range append([]string{s.ConfigPath}, ovsFiles...) {
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return a, fmt.Errorf("read options of Open vSwitch: %w", err)
		}
		var file ovsAccess
		if err := json.Unmarshal(content, &file); err != nil {
			return a, BadConfig{Type: "ovs", Field: "configuration_path", Message: fmt.Sprintf("file %s of the node: %v", name, err)}
		}
		a = a.or(file)
		break
	}
	return a.or(ovsAccess{Socket: ovs.DefaultSocket, Tries: 5, Interval: 600}), nil
}

func (a ovsAccess) or(other ovsAccess) ovsAccess {
	if a.Socket == "" {
		a.Socket = other.Socket
	}
	if a.Tries == 0 {
		a.Tries = other.Tries
	}
	if a.Interval == 0 {
		a.Interval = other.Interval
	}
	return a
}

func (a ovsAccess) patience() time.Duration {
	return time.Duration(a.Tries) * time.Duration(a.Interval) * time.Millisecond
}

// Type is "ovs", as of ovs-cni.
func (OVS) Type() string { return "ovs" }

// Segment is the bridge.
func (s OVS) Segment() string { return "ovs/" + s.Bridge }

func (OVS) leaves(*job) bool                { return true }
func (s OVS) link() (net.HardwareAddr, int) { return nil, s.MTU }
func (s OVS) record(j *job, w *Wired) {
	w.HostIf, w.HostMAC, w.Kind = j.hostIf, hostMAC(j.ContainerID, j.IfName).String(), "veth"
	w.OVS = &OVSPort{Socket: j.socket, Bridge: s.Bridge, Tag: s.Tag, Trunks: s.trunks(), Number: s.Number, Type: s.Interface}
}

// trunks are the VLANs one by one, as the switch has them.
func (s OVS) trunks() (all []uint16) {
	for _, v := range s.Trunk {
		for id := v.From; id <= v.To; id++ {
			all = append(all, id)
		}
	}
	return all
}

func (s OVS) prepare(_ *transaction, j *job) error {
	a, err := s.access()
	j.socket = a.Socket
	return err
}

func (s OVS) create(t *transaction, j *job) (link.Op, bool) {
	return link.NewVeth(
		link.End{Name: j.hostIf, MAC: hostMAC(j.ContainerID, j.IfName), MTU: j.mtu},
		link.End{Name: j.IfName, MAC: j.mac, MTU: j.mtu, Group: link.Group, NS: t.ns},
	), true
}
