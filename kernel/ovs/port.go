package ovs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Owner marks ports of ours in external_ids.
const Owner = "tsunagu.dev"

// Port is a port of a bridge with one interface, of the same name.
type Port struct {
	Name string
	// Tag makes it an access port of a VLAN; nil a trunk, of all VLANs or those of Trunks.
	Tag    *uint16
	Trunks []uint16
	// Type of the interface; "" is one of the kernel.
	Type string
	// Number is the OpenFlow port number that is asked for, 0 for any.
	Number uint16
	// InPod and Namespace are what external_ids say of the other end: its name, and the path of its namespace.
	InPod, Namespace string
	// IfaceID is what OVN knows the interface by; "" for none.
	IfaceID string
}

// State is how a port is.
type State struct {
	Port
	// Bridge it belongs to.
	Bridge string
	// Up is the state of its link. Error is why the switch cannot use the interface; Bound tells that it does.
	Up, Bound bool
	Error     string
}

// ErrNoBridge tells that the switch has no such bridge, ErrNoPort that it has no such port.
var (
	ErrNoBridge = errors.New("no such bridge")
	ErrNoPort   = errors.New("no such port")
)

func named(name string) ovsdb.Condition {
	return ovsdb.NewCondition("name", ovsdb.ConditionEqual, name)
}

// Bridges lists the names of bridges.
func (s Switch) Bridges(ctx context.Context) ([]string, error) {
	rows, err := s.rows(ctx, "Bridge", []string{"name"})
	var names []string
	for _, r := range rows {
		names = append(names, text(r["name"]))
	}
	slices.Sort(names)
	return names, err
}

// AddPort puts a port on a bridge, in place of one of its name, and waits until the switch uses the interface. The error is ErrNoBridge
// when there is no such bridge.
func (s Switch) AddPort(ctx context.Context, bridge string, p Port) error {
	bridges, err := s.Bridges(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(bridges, bridge) {
		return ErrNoBridge
	}
	operations, err := s.detach(ctx, p.Name)
	if err != nil {
		return err
	}
	operations = append(operations, p.insert()...)
	operations = append(operations, ovsdb.Operation{Op: ovsdb.OperationMutate, Table: "Bridge", Where: []ovsdb.Condition{named(bridge)},
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("ports", ovsdb.MutateOperationInsert, set(ovsdb.UUID{GoUUID: "port"}))}})
	if _, err := s.transact(ctx, operations...); err != nil {
		return fmt.Errorf("put %s on bridge %s: %w", p.Name, bridge, err)
	}
	return s.await(ctx, p.Name, func(st State) bool { return st.Bound })
}

// insert makes the rows of a port.
func (p Port) insert() []ovsdb.Operation {
	iface := ovsdb.Row{"name": p.Name, "external_ids": ids(map[string]string{"iface-id": p.IfaceID})}
	if p.Type != "" {
		iface["type"] = p.Type
	}
	if p.Number != 0 {
		iface["ofport_request"] = int(p.Number)
	}
	port := ovsdb.Row{"name": p.Name, "interfaces": set(ovsdb.UUID{GoUUID: "iface"}),
		"external_ids": ids(map[string]string{"owner": Owner, "contIface": p.InPod, "contNetns": p.Namespace})}
	if p.Tag != nil {
		port["vlan_mode"], port["tag"] = "access", int(*p.Tag)
	} else {
		port["vlan_mode"] = "trunk"
		if len(p.Trunks) > 0 {
			var all []any
			for _, id := range p.Trunks {
				all = append(all, int(id))
			}
			port["trunks"] = ovsdb.OvsSet{GoSet: all}
		}
	}
	return []ovsdb.Operation{
		{Op: ovsdb.OperationInsert, Table: "Interface", UUIDName: "iface", Row: iface},
		{Op: ovsdb.OperationInsert, Table: "Port", UUIDName: "port", Row: port},
	}
}

// DeletePort takes a port of ours off its bridge. One that is not there is fine; one of others is left alone.
func (s Switch) DeletePort(ctx context.Context, name string) error {
	operations, err := s.detach(ctx, name)
	if err != nil || len(operations) == 0 {
		return err
	}
	if _, err := s.transact(ctx, operations...); err != nil {
		return fmt.Errorf("take %s off its bridge: %w", name, err)
	}
	return nil
}

// detach are the operations that take a port of ours off. Its rows go by themselves, being nobody's any more.
func (s Switch) detach(ctx context.Context, name string) (operations []ovsdb.Operation, err error) {
	rows, err := s.rows(ctx, "Port", []string{"_uuid", "external_ids"}, named(name))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		id, ok := r["_uuid"].(ovsdb.UUID)
		if !ok {
			continue
		}
		if owner := idOf(r, "owner"); owner != Owner {
			return nil, fmt.Errorf("port %s of Open vSwitch belongs to %q", name, owner)
		}
		operations = append(operations, ovsdb.Operation{Op: ovsdb.OperationMutate, Table: "Bridge",
			Where:     []ovsdb.Condition{ovsdb.NewCondition("ports", ovsdb.ConditionIncludes, set(id))},
			Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("ports", ovsdb.MutateOperationDelete, set(id))}})
	}
	return operations, nil
}

// Ports lists the names of the ports of ours.
func (s Switch) Ports(ctx context.Context) ([]string, error) {
	rows, err := s.rows(ctx, "Port", []string{"name"}, ovsdb.NewCondition("external_ids", ovsdb.ConditionIncludes, ids(map[string]string{"owner": Owner})))
	var names []string
	for _, r := range rows {
		names = append(names, text(r["name"]))
	}
	return names, err
}

// PortState reads a port. The error is ErrNoPort when there is none.
func (s Switch) PortState(ctx context.Context, name string) (st State, err error) {
	ports, err := s.rows(ctx, "Port", []string{"_uuid", "tag", "trunks", "external_ids"}, named(name))
	if err != nil {
		return st, err
	}
	if len(ports) != 1 {
		return st, ErrNoPort
	}
	port := ports[0]
	st.Name, st.InPod, st.Namespace = name, idOf(port, "contIface"), idOf(port, "contNetns")
	if tag, ok := port["tag"].(float64); ok {
		id := uint16(tag)
		st.Tag = &id
	}
	st.Trunks = numbers(port["trunks"])
	id, _ := port["_uuid"].(ovsdb.UUID)
	bridges, err := s.rows(ctx, "Bridge", []string{"name"}, ovsdb.NewCondition("ports", ovsdb.ConditionIncludes, set(id)))
	if err != nil {
		return st, err
	}
	if len(bridges) == 1 {
		st.Bridge = text(bridges[0]["name"])
	}
	faces, err := s.rows(ctx, "Interface", []string{"ofport", "ofport_request", "type", "link_state", "error", "external_ids"}, named(name))
	if err != nil {
		return st, err
	}
	if len(faces) == 1 {
		st.readInterface(faces[0])
	}
	return st, nil
}

func (st *State) readInterface(r ovsdb.Row) {
	st.Type, st.Error, st.Up, st.IfaceID = text(r["type"]), text(r["error"]), text(r["link_state"]) == "up", idOf(r, "iface-id")
	if n, ok := r["ofport"].(float64); ok {
		st.Bound = n > 0
	}
	if n, ok := r["ofport_request"].(float64); ok {
		st.Number = uint16(n)
	}
}

// AwaitUp waits until the link of a port is up, as often as the switch is to be asked.
func (s Switch) AwaitUp(ctx context.Context, name string) error {
	return s.await(ctx, name, func(st State) bool { return st.Up })
}

// glance is how often the switch is asked how a port is.
const glance = 10 * time.Millisecond

func (s Switch) await(ctx context.Context, name string, good func(State) bool) error {
	for {
		st, err := s.PortState(ctx, name)
		switch {
		case err != nil:
			return err
		case st.Error != "":
			return fmt.Errorf("open vSwitch cannot use %s: %s", name, st.Error)
		case good(st):
			return nil
		}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return fmt.Errorf("wait for Open vSwitch to use %s: %w", name, context.Cause(ctx))
		}
	}
}
