package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// ask is what ovs-vsctl answers.
func (o *vswitch) ask(args ...string) string {
	o.Helper()
	out, err := o.command("ovs-vsctl", append([]string{"--timeout=20", "--db=unix:" + o.socket()}, args...)...).CombinedOutput()
	if err != nil {
		o.Fatalf("ovs-vsctl %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// ovs is a configuration for the test's own switch.
func (w *world) ovs(o *vswitch, options string) Spec {
	w.Helper()
	return w.spec("ovs", fmt.Sprintf(`{"bridge":"br0","socket_file":%q%s}`, "unix:"+o.socket(), options))
}

// Pods on one bridge reach who is in their VLAN, and the port of one is what ovs-cni would have made.
func TestOVS(t *testing.T) {
	w := newWorld(t)
	o := newVSwitch(t, w.node)
	a, b, c := w.pod(), w.pod(), w.pod()
	wa := w.wire(a, w.attach(a, "net1", w.ovs(o, `,"vlan":120,"mtu":1400,"ofport_request":77`), "10.120.0.1/24", "fd00:120::1/64"))
	wb := w.wire(b, w.attach(b, "net1", w.ovs(o, `,"vlan":120,"mtu":1400`), "10.120.0.2/24", "fd00:120::2/64"))
	wc := w.wire(c, w.attach(c, "net1", w.ovs(o, `,"vlan":121`), "10.120.0.3/24"))
	for _, p := range []*netns.Namespace{a, b, c} {
		plainFrames(t, p, "net1")
	}
	w.reaches(a, b, "10.120.0.2")
	w.reaches(a, b, "fd00:120::2")
	if _, err := exchange(a, c, "10.120.0.3"); err == nil {
		t.Error("VLAN 120 reaches 121")
	}
	port := wa[0].HostIf
	for what, want := range map[string]string{
		"tag": "120", "vlan_mode": "access", "external_ids:contIface": "net1", "external_ids:contNetns": fmt.Sprintf("%q", a.Path()), "external_ids:owner": "tsunagu.dev",
	} {
		if got := o.ask("get", "port", port, what); strings.Trim(got, `"`) != strings.Trim(want, `"`) {
			t.Errorf("%s is %s, want %s", what, got, want)
		}
	}
	if got := o.ask("get", "interface", port, "ofport"); got != "77" {
		t.Errorf("OpenFlow number %s", got)
	}
	if wa[0].MTU != 1400 {
		t.Errorf("MTU %d", wa[0].MTU)
	}
	again := w.wire(a, w.attach(a, "net1", w.ovs(o, `,"vlan":120,"mtu":1400,"ofport_request":77`), "10.120.0.1/24", "fd00:120::1/64"))
	if again[0].IfIndex != wa[0].IfIndex {
		t.Error("a second time made it anew")
	}
	for _, x := range []struct {
		p *netns.Namespace
		r []Record
	}{{a, wa}, {b, wb}, {c, wc}} {
		w.must(w.wirer.Check(context.Background(), x.p.Path(), x.r))
		w.unwire(x.p, x.r)
		w.unwire(x.p, x.r)
	}
	if left := o.ask("list-ports", "br0"); left != "" {
		t.Errorf("left on the bridge: %s", left)
	}
	if left := o.ask("--columns=name", "--format=csv", "--no-heading", "list", "interface"); left != "br0" {
		t.Errorf("left in the database: %s", left)
	}
}

// A port without vlan carries all, one with a trunk those of it.
func TestOVSTrunk(t *testing.T) {
	w := newWorld(t)
	o := newVSwitch(t, w.node)
	a, b := w.pod(), w.pod()
	wa := w.wire(a, w.attach(a, "net1", w.ovs(o, ``)))
	wb := w.wire(b, w.attach(b, "net1", w.ovs(o, `,"vlan":5,"trunk":[{"id":42},{"minID":1000,"maxID":1003}]`)))
	for port, want := range map[string]string{wa[0].HostIf: "[] [] trunk", wb[0].HostIf: "[] [42, 1000, 1001, 1002, 1003] trunk"} {
		if got := o.ask("get", "port", port, "tag") + " " + o.ask("get", "port", port, "trunks") + " " + o.ask("get", "port", port, "vlan_mode"); got != want {
			t.Errorf("port is %s, want %s", got, want)
		}
	}
	w.must(w.wirer.Check(context.Background(), b.Path(), wb))
}

// Whatever others change on the switch is found, and what is gone comes back.
func TestOVSCheckAndMend(t *testing.T) {
	w := newWorld(t)
	o := newVSwitch(t, w.node)
	p := w.pod()
	wired := w.wire(p, w.attach(p, "net1", w.ovs(o, `,"vlan":120,"ofport_request":9`), "10.120.0.1/24"))
	port := wired[0].HostIf
	o.vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev")
	for want, change := range map[string][][]string{
		"the VLAN":   {{"set", "port", port, "tag=121"}, {"set", "port", port, "tag=120"}},
		"the trunk":  {{"set", "port", port, "trunks=7"}, {"clear", "port", port, "trunks"}},
		"the number": {{"set", "interface", port, "ofport_request=10"}, {"set", "interface", port, "ofport_request=9"}},
		"missing":    {{"del-port", port}, nil},
	} {
		o.vsctl(change[0]...)
		if m, ok := errors.AsType[Mismatch](w.wirer.Check(context.Background(), p.Path(), wired)); !ok || !strings.Contains(m.Error(), want) {
			t.Errorf("%s: check says %v", want, m)
		}
		if change[1] != nil {
			o.vsctl(change[1]...)
			continue
		}
		if _, err := w.wirer.Mend(context.Background(), wired); err != nil {
			t.Error(err)
		}
	}
	w.must(w.wirer.Check(context.Background(), p.Path(), wired))
	w.must(netns.Delete(filepath.Base(p.Path()))) // the Pod is gone before its DEL
	w.unwire(p, wired)
	if left := o.ask("list-ports", "br0"); left != "" {
		t.Errorf("left on the bridge: %s", left)
	}
	netns.Create(filepath.Base(p.Path())) // for the cleanup of the test
}

func TestOVSOrphansAndRollback(t *testing.T) {
	w := newWorld(t)
	o := newVSwitch(t, w.node)
	a, b := w.pod(), w.pod()
	wa := w.wire(a, w.attach(a, "net1", w.ovs(o, `,"vlan":120`), "10.120.0.1/24"))
	wb := w.wire(b, w.attach(b, "net1", w.ovs(o, `,"vlan":120`), "10.120.0.2/24"))
	orphans, err := w.wirer.Orphans(context.Background(), wa)
	w.must(err)
	if !slices.ContainsFunc(orphans, func(o Orphan) bool { return o.Kind == "ovs" && o.Device == wb[0].HostIf }) || len(orphans) != 2 {
		t.Errorf("orphans %v", orphans)
	}
	w.must(w.wirer.Remove(context.Background(), orphans))
	w.must(w.wirer.Check(context.Background(), a.Path(), wa))
	if ports := o.ask("list-ports", "br0"); ports != wa[0].HostIf {
		t.Errorf("ports %s", ports)
	}
	injected := errors.New("injected")
	for _, step := range []string{"plug", "probe", "configure", "finish", "announce"} {
		w.wirer.fault = func(s string) error {
			if s == step {
				return injected
			}
			return nil
		}
		if _, err := w.wirer.Wire(context.Background(), b.Path(), []Attachment{w.attach(b, "net1", w.ovs(o, ``), "10.120.0.9/24")}); !errors.Is(err, injected) {
			t.Errorf("%s: %v", step, err)
		}
		if ports := o.ask("list-ports", "br0"); ports != wa[0].HostIf {
			t.Errorf("after %s: ports %s", step, ports)
		}
	}
}

func TestOVSRefusals(t *testing.T) {
	w := newWorld(t)
	o := newVSwitch(t, w.node)
	p := w.pod()
	had := w.links(w.node)
	file := filepath.Join(t.TempDir(), "ovs.conf")
	w.must(os.WriteFile(file, []byte(`{"socket_file":"unix:/run/none.sock"}`), 0o600))
	for config, want := range map[string]string{
		fmt.Sprintf(`{"bridge":"br9","socket_file":%q}`, o.socket()):                                                          `no interface "br9"; interfaces here: br0`,
		`{"bridge":"br0","socket_file":"unix:/run/none.sock"}`:                                                                "no Open vSwitch answers at unix:/run/none.sock",
		fmt.Sprintf(`{"bridge":"br0","configuration_path":%q}`, file):                                                         "no Open vSwitch answers at unix:/run/none.sock",
		fmt.Sprintf(`{"bridge":"br0","interface_type":"nonsense","link_state_check_retries":1,"socket_file":%q}`, o.socket()): "cannot use",
	} {
		_, err := w.wirer.Wire(context.Background(), p.Path(), []Attachment{w.attach(p, "net1", w.spec("ovs", config), "10.120.0.1/24")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
	if got := w.links(w.node); !slices.Equal(got, had) || len(w.links(p)) != 0 {
		t.Errorf("left behind: %v and %v", got, w.links(p))
	}
	// A name that others have on the switch is theirs.
	name := HostName(p.Path(), "net1")
	o.vsctl("add-port", "br0", name, "--", "set", "interface", name, "type=internal")
	if err := w.wirer.Unwire(context.Background(), p.Path(), []Record{{ContainerID: p.Path(), IfName: "net1", Type: "ovs", OVS: &OVSPort{Socket: o.socket()}}}); err == nil {
		t.Error("a port of others was taken away")
	}
}
