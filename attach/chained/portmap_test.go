package chained

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

func portmapWorld(t *testing.T) (*world, Spec) {
	w := newWorld(t, v4, v6)
	m, _ := mapping("", 8080, 80, "tcp")
	w.call.Runtime.PortMappings = append(w.call.Runtime.PortMappings, m)
	spec, err := Parse("portmap", []byte(`{}`))
	w.must(err)
	return w, spec
}

// TestPortIsTaken has another Pod ask for the same port: it is refused by name, and nothing changes.
func TestPortIsTaken(t *testing.T) {
	w, spec := portmapWorld(t)
	ctx := context.Background()
	_, state := w.add(spec)
	other := w.call
	other.ContainerID = "decafbad"
	_, _, err := w.runner.Add(ctx, other, spec)
	if taken, ok := errors.AsType[PortTaken](err); !ok || taken.Holder != id+"/net1" || !strings.Contains(err.Error(), "0.0.0.0:8080/tcp") {
		t.Errorf("a second one: %v", err)
	}
	m, _ := mapping("192.0.2.1", 8080, 80, "tcp")
	other.Runtime.PortMappings = append(other.Runtime.PortMappings[:0:0], m)
	if _, _, err := w.runner.Add(ctx, other, spec); err == nil {
		t.Error("one address of a port that is taken on all is given again")
	}
	w.must(w.runner.Check(ctx, w.call, spec, state))
	w.must(w.runner.Del(ctx, w.call, spec, state))
	if _, _, err := w.runner.Add(ctx, other, spec); err != nil {
		t.Errorf("after the first is gone: %v", err)
	}
}

// TestPortmapIsChecked flushes the rules, and starts another agent meanwhile.
func TestPortmapIsChecked(t *testing.T) {
	w, spec := portmapWorld(t)
	ctx := context.Background()
	_, state := w.add(spec)
	w.runner = &Runner{Node: w.node}
	w.must(w.runner.Check(ctx, w.call, spec, state))
	w.in(w.node, "nft", "flush chain inet tsunagu-forward ports")
	if m, ok := errors.AsType[kind.Mismatch](w.runner.Check(ctx, w.call, spec, state)); !ok || !strings.Contains(m.What, "host port 0.0.0.0:8080/tcp") {
		t.Errorf("without the rules: %v", m)
	}
	w.must(w.runner.Del(ctx, w.call, spec, nil))
	if tables := w.in(w.node, "nft", "list", "tables"); strings.Contains(tables, "tsunagu") {
		t.Errorf("left: %s", tables)
	}
}

// TestLoopbackIsGuarded opens 127.0.0.1 of the node for replies: the Pod does not reach what listens there.
func TestLoopbackIsGuarded(t *testing.T) {
	w, spec := portmapWorld(t)
	w.outside()
	w.add(spec)
	if rules := w.in(w.node, "nft", "list", "chain", "inet", "tsunagu-forward", "raw-prerouting"); !strings.Contains(rules, `iifname "host1" ip daddr 127.0.0.0/8 drop`) {
		t.Errorf("127.0.0.0/8 is open: %s", rules)
	}
}
