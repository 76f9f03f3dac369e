package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/ovs"
)

// plug puts ports on Open vSwitch, before anybody is asked about addresses.
func (t *transaction) plug(ctx context.Context) error {
	for _, j := range t.jobs {
		s, ok := j.Spec.(OVS)
		if !ok || j.kept {
			continue
		}
		a, err := s.access()
		if err != nil {
			return j.blame(err)
		}
		limited, cancel := context.WithTimeout(ctx, a.patience())
		err = ovs.Switch{Socket: j.socket}.AddPort(limited, s.Bridge, s.port(j, t.ns.Path()))
		cancel()
		if !errors.Is(err, ovs.ErrUnreachable) && !errors.Is(err, ovs.ErrNoBridge) {
			t.plugged = append(t.plugged, j) // an error may be one of waiting
		}
		if err != nil {
			return j.blame(s.explain(ctx, j.socket, err))
		}
	}
	return nil
}

func (s OVS) port(j *job, netns string) ovs.Port {
	return ovs.Port{Name: j.hostIf, Tag: s.Tag, Trunks: s.trunks(), Type: s.Interface, Number: s.Number, InPod: j.IfName, Namespace: netns}
}

// explain words what a user can mend.
func (s OVS) explain(ctx context.Context, socket string, err error) error {
	if errors.Is(err, ovs.ErrNoBridge) {
		have, _ := ovs.Switch{Socket: socket}.Bridges(ctx) // the list only helps
		return NoUplink{Type: "ovs", Name: s.Bridge, Have: have}
	}
	if errors.Is(err, ovs.ErrUnreachable) {
		return NoSwitch{Socket: socket, Err: err}
	}
	return fmt.Errorf("ovs: %w", err)
}

// NoSwitch tells that the node has no Open vSwitch that answers.
type NoSwitch struct {
	Socket string
	Err    error
}

func (e NoSwitch) Error() string {
	return fmt.Sprintf("ovs: no Open vSwitch answers at %s: %v", e.Socket, e.Err)
}
func (e NoSwitch) Unwrap() error  { return e.Err }
func (e NoSwitch) Reason() string { return "NoOpenVSwitch" }
func (e NoSwitch) Fix() string {
	return "start Open vSwitch on the node, name its socket in socket_file, or keep the Pod off this node"
}

// attached waits until the switch sees the link of its ports: what is announced before is lost.
func (t *transaction) attached() error {
	for _, j := range t.plugged {
		a, err := j.Spec.(OVS).access()
		if err != nil {
			return j.blame(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), a.patience())
		err = ovs.Switch{Socket: j.socket}.AwaitUp(ctx, j.hostIf)
		cancel()
		if err != nil {
			return j.blame(fmt.Errorf("ovs: %w", err))
		}
	}
	return nil
}

// unplug takes ports off their switches. Of an incomplete record it is only known that it may be one on the usual switch.
func (w *Wirer) unplug(records []Record) (failed error) {
	_, err := os.Stat(strings.TrimPrefix(ovs.DefaultSocket, "unix:"))
	usual := err == nil
	for _, r := range records {
		socket := ovs.DefaultSocket
		switch {
		case r.OVS != nil:
			socket = r.OVS.Socket
		case r.Type != "" || r.ContainerID == "" || !usual:
			continue
		}
		failed = errors.Join(failed, ovs.Switch{Socket: socket}.DeletePort(context.Background(), HostName(r.ContainerID, r.IfName)))
	}
	return failed
}

// comparePlug finds the first difference on the switch.
func (r Record) comparePlug() error {
	st, err := ovs.Switch{Socket: r.OVS.Socket}.PortState(context.Background(), r.HostIf)
	differs := func(what string, want, have any) error {
		return Mismatch{IfName: r.IfName, What: what + " of Open vSwitch's port " + r.HostIf, Want: fmt.Sprint(want), Have: fmt.Sprint(have)}
	}
	tag := func(t *uint16) string {
		if t == nil {
			return "none"
		}
		return fmt.Sprint(*t)
	}
	switch {
	case errors.Is(err, ovs.ErrNoPort):
		return Mismatch{IfName: r.IfName, What: "Open vSwitch's port " + r.HostIf, Want: "present", Have: "missing"}
	case err != nil:
		return err
	case st.Bridge != r.OVS.Bridge:
		return differs("the bridge", r.OVS.Bridge, st.Bridge)
	case tag(st.Tag) != tag(r.OVS.Tag):
		return differs("the VLAN", tag(r.OVS.Tag), tag(st.Tag))
	case !slices.Equal(st.Trunks, r.OVS.Trunks):
		return differs("the trunk", r.OVS.Trunks, st.Trunks)
	case r.OVS.Number != 0 && st.Number != r.OVS.Number:
		return differs("the number", r.OVS.Number, st.Number)
	case st.Error != "":
		return differs("the state", "good", st.Error)
	}
	return nil
}

// mendPlugs puts ports back that a switch has lost with its database.
func (w *Wirer) mendPlugs(ctx context.Context, owned []Record) (failed error) {
	have := map[string][]string{}
	for _, r := range owned {
		if r.OVS == nil {
			continue
		}
		at := ovs.Switch{Socket: r.OVS.Socket}
		if _, asked := have[r.OVS.Socket]; !asked {
			names, err := at.Ports(ctx)
			if err != nil {
				failed = errors.Join(failed, err)
			}
			have[r.OVS.Socket] = append(names, "") // asked, whatever came of it
			if err != nil {
				have[r.OVS.Socket] = nil
			}
		}
		if known := have[r.OVS.Socket]; known != nil && !slices.Contains(known, r.HostIf) {
			failed = errors.Join(failed, at.AddPort(ctx, r.OVS.Bridge, ovs.Port{Name: r.HostIf, Tag: r.OVS.Tag, Trunks: r.OVS.Trunks,
				Type: r.OVS.Type, Number: r.OVS.Number, InPod: r.IfName}))
		}
	}
	return failed
}

// strayPlugs are ports of ours that no record owns, on the switches of the records and the usual one.
func strayPlugs(ctx context.Context, have map[string]bool, owned []Record) (found []Orphan) {
	sockets := []string{ovs.DefaultSocket}
	for _, r := range owned {
		if r.OVS != nil && !slices.Contains(sockets, r.OVS.Socket) {
			sockets = append(sockets, r.OVS.Socket)
		}
	}
	for _, socket := range sockets {
		names, err := ovs.Switch{Socket: socket}.Ports(ctx)
		if err != nil {
			continue // no switch, no ports
		}
		for _, name := range names {
			if !have[name] {
				found = append(found, Orphan{Device: name, Kind: "ovs", socket: socket})
			}
		}
	}
	return found
}
