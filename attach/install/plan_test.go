package install

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestPlan(t *testing.T) {
	conf, old, foreign := Conf("/run/tsunagu/cni.sock", nil), Conf("/run/old.sock", nil), []byte(`{"name":"x","plugins":[{"type":"bridge"}]}`)
	shim := []byte("shim 2")
	want := Want{Shim: shim, Conf: conf}
	for _, c := range []struct {
		name string
		have Have
		want Want
		do   []Verb
	}{
		{"first start, not ready yet", Have{}, Want{Shim: shim}, []Verb{WriteShim}},
		{"ready", Have{Shim: shim, ShimRuns: true}, want, []Verb{WriteConf}},
		{"all there", Have{Shim: shim, ShimRuns: true, Conf: conf}, want, nil},
		{"restart, not ready yet", Have{Shim: shim, ShimRuns: true, Conf: conf}, Want{Shim: shim}, nil},
		{"upgrade", Have{Shim: []byte("shim 1"), ShimRuns: true, Conf: old}, want, []Verb{WriteShim, WriteConf}},
		{"shim lost its mode", Have{Shim: shim, Conf: conf}, want, []Verb{WriteShim}},
		{"crash while writing", Have{Shim: shim, ShimRuns: true, Conf: conf, Litter: []string{"/x"}}, want, []Verb{RemoveFile}},
		{"foreign file of our name", Have{Conf: foreign}, want, []Verb{WriteShim, KeepConf, WriteConf}},
		{"foreign file before ready", Have{Conf: foreign}, Want{Shim: shim}, []Verb{WriteShim}},
		{"broken file of our name", Have{Shim: shim, ShimRuns: true, Conf: []byte("{")}, want, []Verb{KeepConf, WriteConf}},
		{"somebody removed it", Have{Shim: shim, ShimRuns: true, Kept: foreign}, want, []Verb{WriteConf}},

		{"stand for whereabouts", Have{Shim: shim, ShimRuns: true}, Want{Shim: shim, IPAM: []string{"whereabouts"}}, []Verb{LinkIPAM}},
		{"stand for one that is there", Have{Shim: shim, ShimRuns: true, IPAM: map[string]Whose{"whereabouts": Foreign}}, Want{Shim: shim, IPAM: []string{"whereabouts"}}, []Verb{KeepIPAM, LinkIPAM}},
		{"it stands", Have{Shim: shim, ShimRuns: true, IPAM: map[string]Whose{"whereabouts": OurOwn}}, Want{Shim: shim, IPAM: []string{"whereabouts"}}, nil},
		{"no longer", Have{Shim: shim, ShimRuns: true, IPAM: map[string]Whose{"whereabouts": OurOwn}, KeptIPAM: map[string]bool{"whereabouts": true}}, Want{Shim: shim}, []Verb{UnlinkIPAM, RestoreIPAM}},
		{"not known what is wanted", Have{IPAM: map[string]Whose{"whereabouts": OurOwn}}, Want{}, nil},
		{"leave, it was put aside", Have{Shim: shim, IPAM: map[string]Whose{"whereabouts": OurOwn}, KeptIPAM: map[string]bool{"whereabouts": true}}, Want{Gone: true}, []Verb{UnlinkIPAM, RestoreIPAM, RemoveShim}},
		{"leave, a newer one was installed", Have{IPAM: map[string]Whose{"whereabouts": Foreign}, KeptIPAM: map[string]bool{"whereabouts": true}}, Want{Gone: true}, nil},
		{"leave others alone", Have{IPAM: map[string]Whose{"host-local": Foreign}}, Want{Gone: true}, nil},

		{"leave", Have{Shim: shim, ShimRuns: true, Conf: conf}, Want{Gone: true}, []Verb{RemoveConf, RemoveShim}},
		{"leave an older version's files", Have{Shim: []byte("shim 1"), Conf: old}, Want{Gone: true}, []Verb{RemoveConf, RemoveShim}},
		{"leave and restore", Have{Shim: shim, Conf: conf, Kept: foreign}, Want{Gone: true}, []Verb{RestoreConf, RemoveShim}},
		{"leave, ours was removed", Have{Shim: shim, Kept: foreign}, Want{Gone: true}, []Verb{RestoreConf, RemoveShim}},
		{"leave somebody else's file alone", Have{Shim: shim, Conf: foreign}, Want{Gone: true}, []Verb{RemoveShim}},
		{"leave twice", Have{}, Want{Gone: true}, nil},
	} {
		c.have.Loopback = Foreign
		do := verbs(Plan(c.have, c.want))
		if !reflect.DeepEqual(do, c.do) {
			t.Errorf("%s: %q, want %q", c.name, do, c.do)
		}
	}
}

func verbs(steps []Step) (do []Verb) {
	for _, s := range steps {
		do = append(do, s.Verb)
	}
	return do
}

// The loopback plugin is linked where there is none, and only a link of ours
// is removed.
func TestPlanLoopback(t *testing.T) {
	shim, conf := []byte("shim"), Conf("/run/tsunagu/cni.sock", nil)
	for _, c := range []struct {
		have Whose
		want Want
		do   []Verb
	}{
		{Nobody, Want{Shim: shim}, []Verb{LinkLoopback}},
		{OurOwn, Want{Shim: shim, Conf: conf}, nil},
		{Foreign, Want{Shim: shim, Conf: conf}, nil},
		{Nobody, Want{Gone: true}, []Verb{RemoveConf, RemoveShim}},
		{OurOwn, Want{Gone: true}, []Verb{RemoveConf, UnlinkLoopback, RemoveShim}},
		{Foreign, Want{Gone: true}, []Verb{RemoveConf, RemoveShim}},
	} {
		do := verbs(Plan(Have{Shim: shim, ShimRuns: true, Conf: conf, Loopback: c.have}, c.want))
		if !reflect.DeepEqual(do, c.do) {
			t.Errorf("%v, want %+v: %q, want %q", c.have, c.want, do, c.do)
		}
	}
}

func TestConfIsAccepted(t *testing.T) {
	raw := Conf("/run/tsunagu/cni.sock", nil)
	// What libcni 1.0 (containerd 1.6) insists on: these keys, as these types.
	var list struct {
		Name, CNIVersion string
		DisableCheck     *bool
		Plugins          []map[string]any
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	if list.Name == "" || list.CNIVersion != "1.0.0" || list.DisableCheck != nil || len(list.Plugins) != 1 {
		t.Errorf("libcni would refuse %s", raw)
	}
	if p := list.Plugins[0]; p["type"] != ShimName || p["socket"] != "/run/tsunagu/cni.sock" {
		t.Errorf("the plugin is %v", p)
	}
	if !Ours(raw) || Ours([]byte(`{"plugins":[{"type":"bridge"}]}`)) || Ours(nil) {
		t.Error("ours and foreign are confused")
	}
}

func TestShadow(t *testing.T) {
	for want, confs := range map[string][]string{
		"":                   {ConfName, "10-flannel.conflist", "00-a.bak", ".00-x.conf.swp"},
		"00-multus.conf":     {"10-x.conf", "00-multus.conf", ConfName},
		"00-calico.conflist": {"00-multus.conf", "00-calico.conflist"},
	} {
		if got := Shadow(confs); got != want {
			t.Errorf("%q: %q, want %q", confs, got, want)
		}
	}
}

func TestLife(t *testing.T) {
	var l Life
	if l.Uninstalled() {
		t.Error("an agent that knows nothing must leave the files")
	}
	l.SawDaemonSet(Present)
	l.SawNamespace(Present)
	if l.Uninstalled() {
		t.Error("a restart must leave the files")
	}
	l.SawDaemonSet(Leaving)
	if !l.Uninstalled() {
		t.Error("a deleted DaemonSet is an uninstall")
	}
	l.SawDaemonSet(Present)
	if l.Uninstalled() {
		t.Error("a DaemonSet that was created again is wanted")
	}
	l.SawNamespace(Leaving)
	if !l.Uninstalled() {
		t.Error("a deleted namespace is an uninstall")
	}
}
