package kind

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// aliasMark begins the alias of a device that a Pod has taken: the mark, the key's host name, and how the device was. The alias goes
// where the device goes, so it can be given back when every record is lost.
const aliasMark = "tsunagu:"

func (d Device) alias(hostIf string) string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // texts, numbers and flags always marshal
	}
	return aliasMark + hostIf + ":" + string(b)
}

// takenDevice reads the alias of a device that a Pod has, or had.
func takenDevice(l link.Link) (hostIf string, d Device, ok bool) {
	rest, ok := strings.CutPrefix(l.Alias, aliasMark)
	if !ok {
		return "", d, false
	}
	hostIf, data, ok := strings.Cut(rest, ":")
	if !ok || json.Unmarshal([]byte(data), &d) != nil || !ValidName(d.Name) {
		return "", d, false
	}
	return hostIf, d, true
}

// prepare finds the device on the node, or in the Pod when an earlier attempt has moved it.
func (s HostDevice) prepare(t *transaction, j *job) error {
	inPod, err := t.pod.Links()
	if err != nil {
		return err
	}
	for _, l := range inPod {
		if hostIf, was, ok := takenDevice(l); ok && hostIf == j.hostIf {
			j.below, j.taken = l, &was
			if l.Name == j.IfName && t.complete(j, l) {
				j.kept = true
				return nil
			}
			if err := t.giveBack(t.pod, t.node, l, was, hostIf); err != nil {
				return err
			}
			continue
		}
		if l.Name == j.IfName {
			return NameTaken{IfName: j.IfName, By: describe(l)}
		}
	}
	if s.PCIBusID != "" && slices.Contains(userspaceDrivers, t.cards.DriverOf(s.PCIBusID)) {
		return t.hand(j)
	}
	device, err := s.find(t, j.Spec.Type())
	if err != nil {
		return err
	}
	if device.Loopback {
		return DeviceBusy{Type: j.Spec.Type(), Device: device.Name, Why: "is the loopback interface"}
	}
	if device.Master != 0 {
		return DeviceBusy{Type: j.Spec.Type(), Device: device.Name, Why: "belongs to " + t.nameOf(device.Master)}
	}
	if why, err := t.neededByNode(device); err != nil {
		return err
	} else if why != "" {
		return DeviceBusy{Type: j.Spec.Type(), Device: device.Name, Why: why}
	}
	j.below = device
	j.taken = &Device{Name: device.Name, MTU: device.MTU, MAC: device.MAC.String(), Alias: device.Alias, Up: device.Up}
	if err := t.configureFunction(j); err != nil {
		return err
	}
	return s.take(t, j)
}

// hand gives the Pod a device that has no interface: only its card is told.
func (t *transaction) hand(j *job) error {
	j.userspace, j.taken = true, &Device{}
	if err := t.configureFunction(j); err != nil || j.function == nil {
		return err
	}
	j.made = true
	return t.cards.Change(t.node, j.function.PF, j.function.Want)
}

// find looks the device up by whatever the configuration names it by.
func (s HostDevice) find(t *transaction, typ string) (link.Link, error) {
	name, called := s.Device, s.Device
	var err error
	switch {
	case s.PCIBusID != "":
		called = "PCI " + s.PCIBusID
		name, err = t.cards.DeviceOf(s.PCIBusID)
	case s.KernelPath != "":
		called = s.KernelPath
		name, err = link.OfPath(s.KernelPath)
	case s.HWAddr != nil:
		return s.byMAC(t, typ)
	}
	if link.Missing(err) {
		return link.Link{}, t.noUplink(typ, called)
	}
	return t.uplink(typ, name)
}

func (s HostDevice) byMAC(t *transaction, typ string) (link.Link, error) {
	links, err := t.node.Links()
	if err != nil {
		return link.Link{}, err
	}
	for _, l := range links {
		if bytes.Equal(l.MAC, s.HWAddr) && l.Kind != "macvlan" && !isHostName(l.Name) {
			return l, nil
		}
	}
	return link.Link{}, t.noUplink(typ, s.HWAddr.String())
}

// take moves the device into the Pod. Its alias comes first: from then on it can be found and given back.
func (s HostDevice) take(t *transaction, j *job) error {
	alias, yes := j.taken.alias(j.hostIf), true
	if err := t.node.Apply(link.Set(link.Change{Device: j.below.Name, Index: j.below.Index, Alias: &alias})); err != nil {
		return err
	}
	j.made = true
	if j.function != nil && changes(j.function.Want) {
		if err := t.cards.Change(t.node, j.function.PF, j.function.Want); err != nil {
			return fmt.Errorf("sriov: %w", err)
		}
	}
	move := link.Change{Device: j.below.Name, Index: j.below.Index, NS: t.ns, Name: j.IfName, Up: &yes}
	if j.asked {
		move.MAC = j.mac
	}
	if j.mtu > 0 {
		move.MTU = j.mtu
	}
	if err := t.node.Apply(link.Set(move)); err != nil {
		return fmt.Errorf("host-device: %w", err)
	}
	return nil
}

func (HostDevice) link() (net.HardwareAddr, int) { return nil, 0 }

func (s HostDevice) record(j *job, w *Wired) { w.Device, w.Userspace = j.taken, j.userspace }

// giveBack moves a device from the Pod to the node and makes it what it was. It travels under a name that nothing else has. When
// somebody has taken its own name on the node meanwhile it stays under that one, with the alias for Orphans to find.
func (w *Wirer) giveBack(inPod, node *link.Conn, l link.Link, was Device, hostIf string) error {
	no := false
	travel := link.Change{Device: l.Name, Index: l.Index, NS: w.node, MTU: was.MTU}
	if mac, err := net.ParseMAC(was.MAC); err == nil && !bytes.Equal(mac, l.MAC) {
		travel.MAC = mac
	}
	if err := inPod.Apply(
		link.Set(link.Change{Device: l.Name, Index: l.Index, Up: &no}),
		link.Set(link.Change{Device: l.Name, Index: l.Index, Name: hostIf}),
		link.Set(travel),
	); err != nil {
		return fmt.Errorf("give host device %s back: %w", was.Name, err)
	}
	return w.restore(node, hostIf, was)
}

// restore gives a device that is back on the node its name and state.
func (w *Wirer) restore(node *link.Conn, name string, was Device) error {
	l, err := node.ByName(name)
	if err != nil {
		return err
	}
	told := w.resetFunction(node, was) // a card that refuses keeps nobody from having the interface back
	if name != was.Name {
		err = node.Apply(link.Set(link.Change{Device: name, Index: l.Index, Name: was.Name}))
		if link.Exists(err) {
			w.log.Warn("name of a host device is in use, it stays under another", "device", was.Name, "name", name)
			return nil
		}
	}
	if err != nil {
		return errors.Join(err, told)
	}
	return errors.Join(told, node.Apply(link.Set(link.Change{Device: was.Name, Index: l.Index, Alias: &was.Alias, Up: &was.Up})))
}
