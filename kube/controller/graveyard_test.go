package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

func TestGraveyard(t *testing.T) {
	const quarantine = time.Minute
	n1 := ownerID{"n1", "old"}
	gone := evidence{}
	back := evidence{NodeUID: "old"}
	again := evidence{NodeUID: "new"}
	pods := evidence{Pods: []string{"default/web"}}
	type look struct {
		at      time.Duration
		e       evidence
		release bool
	}
	for name, looks := range map[string][]look{
		"gone":                           {{0, gone, false}, {30 * time.Second, gone, false}, {quarantine, gone, true}, {2 * quarantine, gone, true}},
		"first look after a long time":   {{24 * time.Hour, gone, false}},
		"came back":                      {{0, gone, false}, {30 * time.Second, back, false}, {quarantine, gone, false}, {2*quarantine - 1, gone, false}, {2 * quarantine, gone, true}},
		"created again under its name":   {{0, again, false}, {quarantine, again, true}},
		"Pods remain":                    {{0, pods, false}, {10 * quarantine, pods, false}, {11 * quarantine, gone, false}, {12 * quarantine, gone, true}},
		"Pods turn up in the quarantine": {{0, gone, false}, {30 * time.Second, pods, false}, {quarantine, gone, false}},
	} {
		g := newGraveyard(quarantine)
		start := time.Now()
		for i, l := range looks {
			if release, why := g.look(n1, l.e, start.Add(l.at)); release != l.release {
				t.Errorf("%s: look %d after %s: release is %v (%s)", name, i, l.at, release, why)
			}
		}
	}
}

func TestGraveyardForgets(t *testing.T) {
	g := newGraveyard(time.Minute)
	now := time.Now()
	g.look(ownerID{"n1", "a"}, evidence{}, now)
	g.look(ownerID{"n2", "b"}, evidence{}, now)
	g.keep(map[ownerID]bool{{"n2", "b"}: true})
	if len(g.since) != 1 {
		t.Errorf("remembers %v", g.since)
	}
}

func TestMayBeOf(t *testing.T) {
	at := func(sec int64) metav1.Time { return metav1.Unix(sec, 0) }
	successor := &corev1.Node{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(100)}}
	pod := func(sec int64, host bool) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(sec)}, Spec: corev1.PodSpec{HostNetwork: host}}
	}
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		uid  string
		want bool
	}{
		{"no successor", pod(200, false), "", true},
		{"no successor, host network", pod(50, true), "", true},
		{"older than the successor", pod(50, false), "new", true},
		{"of the same second", pod(100, false), "new", true},
		{"the successor's own", pod(101, false), "new", false},
		{"host network", pod(50, true), "new", false},
	} {
		if got := mayBeOf(c.pod, successor, evidence{NodeUID: c.uid}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func region(name, domain, cidr string) v1alpha1.IPRegion {
	return v1alpha1.IPRegion{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: v1alpha1.IPRegionSpec{Domain: domain, CIDR: cidr, Unit: 8}}
}

func TestIdleRegions(t *testing.T) {
	marked := region("marked", "blue", "10.0.0.0/24")
	marked.Annotations = map[string]string{ipam.DrainingAnnotation: "true"}
	regions := []v1alpha1.IPRegion{
		region("used", "blue", "10.0.0.0/24"), region("pooled", "blue", "10.9.1.0/24"),
		region("idle", "blue", "10.0.2.0/24"), region("other-domain", "red", "10.0.0.0/24"), region("broken", "blue", "x"), marked,
	}
	var names string
	for _, r := range idle(regions, []v1alpha1.IPBlock{block("blue", "10.0.0.8/29")}, []v1alpha1.IPPool{ipPool("p", "10.9.0.0/16")}) {
		names += r.Name + " "
	}
	if names != "idle other-domain marked " {
		t.Errorf("idle are %s", names)
	}
}

func TestRestedRegions(t *testing.T) {
	marked := region("marked", "blue", "10.0.1.0/24")
	marked.Annotations = map[string]string{ipam.DrainingAnnotation: "true"}
	both := []v1alpha1.IPRegion{region("a", "blue", "10.0.0.0/24"), marked}
	since := map[types.UID]time.Time{}
	now := time.Now()
	if got := rested(both, since, now); len(got) != 1 || got[0].Name != "marked" {
		t.Errorf("at once: %v", got)
	}
	if got := rested(nil, since, now.Add(restFor/2)); len(got) != 0 || len(since) != 0 {
		t.Errorf("needed again: %v, remembers %v", got, since)
	}
	rested(both[:1], since, now)
	if got := rested(both[:1], since, now.Add(restFor)); len(got) != 1 {
		t.Errorf("after the rest: %v", got)
	}
}

func TestBlockIn(t *testing.T) {
	r := region("r", "blue", "10.0.0.0/24")
	broken := block("blue", "10.7.0.0/26")
	broken.Spec.CIDR = "?"
	for want, blocks := range map[string][]v1alpha1.IPBlock{
		"":                  {block("red", "10.0.0.0/26"), block("blue", "10.0.1.0/26")},
		"blue.10.0.0.64/26": {block("blue", "10.0.1.0/26"), block("blue", "10.0.0.64/26")},
		"blue.10.7.0.0/26":  {broken}, // in doubt it is in the way
	} {
		if got := blockIn(&r, blocks); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
