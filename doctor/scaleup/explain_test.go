package scaleup

import (
	"slices"
	"strings"
	"testing"
)

const (
	wantsLabel = `{nodeSelector: {lan.node-restriction.kubernetes.io/vlan120: ready}}`
	lanLabel   = "lan.node-restriction.kubernetes.io/vlan120=ready"
	apart      = `{affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: node.cluster.x-k8s.io/esxi-host, labelSelector: {matchLabels: {app: web}}}]}}}`
	spread     = `{topologySpreadConstraints: [{maxSkew: 1, minDomains: 2, topologyKey: node.cluster.x-k8s.io/esxi-host, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]}`
)

// What a real Cluster Autoscaler 1.36.1 did, case by case.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		// md-1, its template's labels, and the Pod.
		annotations map[string]string
		template    string
		pod         string
		change      func(*world)
		// what was seen
		seen, scales bool
		considered   int
		code         Code
		words        []string
	}{
		{name: "S1 no annotations", pod: wantsLabel, considered: 1, code: CodeNoSizes, words: []string{"no node group config", "has no scaling capacity"}},
		{name: "S2 memory 500mb", annotations: sized(keyMemory, "500mb", keyLabels, lanLabel), pod: wantsLabel, considered: 1, code: CodeBadCapacity,
			words: []string{"logs nothing of it at any verbosity", "example of the Cluster API proposal", `memory="500M"`}},
		{name: "S3 label in the template only", annotations: sized(), template: "lan.node-restriction.kubernetes.io/vlan120: ready", pod: wantsLabel, seen: true, considered: 2,
			code: CodeTemplateOnly, words: []string{"didn't match Pod's node affinity/selector", "autoscaler#9966", `labels="lan.node-restriction.kubernetes.io/vlan120=ready"`}},
		{name: "S4 labels right", annotations: sized(keyLabels, lanLabel), pod: wantsLabel, seen: true, scales: true, considered: 2},
		{name: "S5 a blank in the labels", annotations: sized(keyLabels, "a=b, "+lanLabel), pod: wantsLabel, seen: true, considered: 2, code: CodeBadLabels,
			words: []string{`the key is " lan.node-restriction.kubernetes.io/vlan120"`, `labels="a=b,lan.node-restriction.kubernetes.io/vlan120=ready"`}},
		{name: "S6 another group's min-size", annotations: sized(keyLabels, lanLabel), pod: wantsLabel, change: func(w *world) { w.Groups[0].Annotations[keyMin] = "one" }},
		{name: "S7 no right on the template", annotations: sized(keyLabels, lanLabel), pod: wantsLabel, code: CodeNoRight, words: []string{"waits for ever", "get, list and watch"},
			change: func(w *world) {
				w.Autoscaler.Denied = map[string][]string{"VSphereMachineTemplate": {"watch"}}
			}},
		{name: "S8a anti-affinity, host unknown", annotations: sized(), pod: apart, change: runsOnN0, seen: true, scales: true, considered: 2, code: CodeHostUnknown, words: []string{"believes that the Pod fits"}},
		{name: "S8b spread, host unknown", annotations: sized(), pod: spread, change: runsOnN0, seen: true, considered: 2, code: CodeHostUnknown, words: []string{"missing required label"}},
		{name: "S8c spread, host promised", annotations: sized(keyLabels, esxiHost+"=h2"), pod: spread, change: runsOnN0, seen: true, scales: true, considered: 2},
		{name: "S9a resource that nobody declares", annotations: sized(), pod: wantsVLAN, seen: true, considered: 2, code: CodePredicate, words: []string{"Insufficient networks.example.com/vlan100", "gpu-type"}},
		{name: "S9b by gpu-type", annotations: sized(keyGPUType, "networks.example.com/vlan100", keyGPUCount, "10"), pod: wantsVLAN, seen: true, scales: true, considered: 2},
		{name: "S9c by status.capacity", annotations: sized(), pod: wantsVLAN, seen: true, scales: true, considered: 2, change: func(w *world) {
			w.Templates = append(w.Templates, w.object(`{kind: VSphereMachineTemplate, metadata: {name: md-1, namespace: default}, status: {capacity: {networks.example.com/vlan100: "10"}}}`))
		}},
		{name: "S10 claims", annotations: sized(keyGPUType, "gpu", keyGPUCount, "1"), pod: `{resourceClaims: [{name: nic, resourceClaimName: nic}]}`, seen: true, considered: 2, code: CodeClaims,
			words: []string{"cannot allocate all claims", "autoscaler#10199"}},
		{name: "memory that is a few bytes", annotations: sized(keyMemory, "4096m"), pod: `{containers: [{name: c, resources: {requests: {memory: 64Mi}}}]}`, seen: true, considered: 2, code: CodeOddCapacity,
			words: []string{"4.096 bytes", "no Pod ever fits"}},
		{name: "size in status.capacity alone", annotations: map[string]string{keyMin: "0", keyMax: "3"}, pod: `{}`, seen: true, scales: true, considered: 2, change: func(w *world) {
			w.Templates = append(w.Templates, w.object(`{kind: VSphereMachineTemplate, metadata: {name: md-1, namespace: default}, status: {capacity: {cpu: "2", memory: 4Gi}}}`))
		}},
		{name: "no size at all", annotations: map[string]string{keyMin: "0", keyMax: "3"}, pod: `{}`, considered: 1, code: CodeNoCapacity, words: []string{"logs nothing", `cpu="8"`, `memory="16Gi"`}, change: func(w *world) {
			o := w.object(`{kind: VSphereMachineTemplate, metadata: {name: md-1, namespace: default}, spec: {template: {spec: {}}}}`)
			o.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"] = map[string]any{"numCPUs": int64(8), "memoryMiB": int64(16384)}
			w.Templates = append(w.Templates, o)
		}},
		{name: "no size, and a template that nobody read", annotations: map[string]string{keyMin: "0", keyMax: "3"}, pod: `{}`, considered: 1, code: CodeNoCapacity,
			words: []string{"DockerMachineTemplate md-1 was not read, and may say it"}, change: func(w *world) { w.Groups[1].Infra.Kind = "DockerMachineTemplate" }},
		{name: "max-size is no number", annotations: sized(keyMax, "3.5"), pod: `{}`, code: CodeBadSizes, words: []string{"every node group"}},
		{name: "max-size below min-size", annotations: sized(keyMin, "5"), pod: `{}`, code: CodeBadSizes, words: []string{"less than min-size 5"}},
		{name: "min-size missing", annotations: without(sized(), keyMin), pod: `{}`, seen: true, scales: true, considered: 2, code: CodeNoSizes, words: []string{"takes it for 0"}},
		{name: "a gate on the Pod", annotations: sized(), pod: `{schedulingGates: [{name: tsunagu.dev/network}]}`, seen: true, considered: 2},
		{name: "paused", annotations: sized(keyPaused, ""), pod: `{}`, considered: 1, code: CodePaused, words: []string{"paused-"}},
		{name: "excluded", annotations: sized(), pod: `{}`, considered: 1, code: CodeExcluded, words: []string{`label pool is "md-1", it wants "md-0"`},
			change: func(w *world) {
				w.Autoscaler.Args = []string{"--cloud-provider=clusterapi", "--node-group-auto-discovery=clusterapi:clusterName=prod,pool=md-0"}
			}},
		{name: "two namespaces", annotations: sized(), pod: `{}`, code: CodeTwoSpaces, words: []string{"only the first, kube-system, is watched"},
			change: func(w *world) {
				w.Autoscaler.Args = []string{"--node-group-auto-discovery", "clusterapi:namespace=kube-system", "--node-group-auto-discovery=clusterapi:namespace=default"}
			}},
		{name: "a taint nobody tolerates", annotations: sized(keyTaints, "dedicated=lan:NoSchedule"), pod: `{}`, seen: true, considered: 2, code: CodePredicate, words: []string{"dedicated=lan:NoSchedule", "does not tolerate"}},
		{name: "a startup taint", annotations: sized(keyTaints, "startup-taint.cluster-autoscaler.kubernetes.io/lan=unverified:NoSchedule"), pod: `{}`, seen: true, scales: true, considered: 2},
		{name: "a taint without effect", annotations: sized(keyTaints, "dedicated=lan"), pod: `{}`, seen: true, scales: true, considered: 2, code: CodeBadTaint, words: []string{"has no effect"}},
		{name: "a label that no node gets", annotations: sized(keyLabels, lanLabel+",team=lan,topology.kubernetes.io/zone=a"), pod: wantsLabel, seen: true, scales: true, considered: 2, code: CodeUnsynced,
			words: []string{"carries it to no Node", "--additional-sync-machine-labels"}},
		{name: "too large", annotations: sized(), pod: `{containers: [{name: c, resources: {requests: {cpu: "5"}}}]}`, seen: true, considered: 2, code: CodePredicate, words: []string{"Insufficient cpu"}},
		{name: "full", annotations: sized(keyMax, "2"), pod: `{}`, seen: true, considered: 2, code: CodeFull, words: []string{"2 of at most 2"}, change: func(w *world) { w.Groups[1].Replicas = 2 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			// md-0 never fits: what is asked is whether md-1 does.
			w.Groups[0].Annotations[keyMax] = "1"
			w.group("md-1", 0, c.template, c.annotations)
			if c.change != nil {
				c.change(w)
			}
			v := Explain(w.Cluster, w.pod(c.pod))
			g := of(t, v, "md-1")
			if g.Seen != c.seen || slices.Contains(v.Scales, g.Group) != c.scales || v.Considered != c.considered {
				t.Errorf("seen %v, scales %v, considered %d; want %v, %v, %d\n%+v", g.Seen, v.Scales, v.Considered, c.seen, c.scales, c.considered, v)
			}
			if c.code == "" {
				return
			}
			p := has(g.Problems, c.code)
			if p == nil {
				t.Fatalf("no problem %s in %+v", c.code, g.Problems)
			}
			for _, word := range c.words {
				if !strings.Contains(p.Why+" "+p.Fix, word) {
					t.Errorf("%q is not in %q, fix %q", word, p.Why, p.Fix)
				}
			}
		})
	}
}

const wantsVLAN = `{containers: [{name: c, resources: {requests: {networks.example.com/vlan100: "1"}}}]}`

func without(m map[string]string, key string) map[string]string {
	delete(m, key)
	return m
}

// runsOnN0 puts a Pod of the same app on the node that is there.
func runsOnN0(w *world) {
	q := w.pod(`{nodeName: n0}`)
	q.Name = "p0"
	w.Pods = append(w.Pods, *q)
}

// A group that has a node is judged by it, whatever the annotations say.
func TestGroupWithANode(t *testing.T) {
	w := newWorld(t)
	w.Groups[0].Annotations = sized(keyMin, "1", keyMemory, "500mb", keyLabels, lanLabel)
	g := of(t, Explain(w.Cluster, w.pod(wantsLabel)), "md-0")
	if !g.Seen || g.Fits || g.Node.Source != FromNode || g.Node.Of != "n0" {
		t.Errorf("%+v", g)
	}
	if has(g.Problems, CodeStale) == nil || has(g.Problems, CodeBadCapacity) == nil || has(g.Problems, CodePredicate) == nil {
		t.Errorf("%+v", g.Problems)
	}
	w.Nodes[0].Labels["lan.node-restriction.kubernetes.io/vlan120"] = "ready"
	if v := Explain(w.Cluster, w.pod(wantsLabel)); len(v.Scales) != 1 {
		t.Errorf("%+v", v)
	}
	w.Pods = nil
	runsOnN0(w)
	if g := of(t, Explain(w.Cluster, w.pod(apart)), "md-0"); g.Fits || !strings.Contains(has(g.Problems, CodePredicate).Why, "anti-affinity") {
		t.Errorf("S8a: %+v", g)
	}
}

// Older versions know less.
func TestVersions(t *testing.T) {
	for _, c := range []struct {
		version     string
		annotations map[string]string
		scales      bool
		code        Code
	}{
		{"1.26.2", sized(keyLabels, lanLabel), false, CodeOldLabels},
		{"1.27.0", sized(keyLabels, lanLabel), false, CodeOldLabels},
		{"v1.27.1", sized(keyLabels, lanLabel), true, ""},
		{"1.29.4", sized(keyMin, "3", keyLabels, lanLabel), false, CodeEqualSizes},
		{"1.30.0", sized(keyMin, "3", keyLabels, lanLabel), true, ""},
		{"1.35.0", sized(keyPaused, "", keyLabels, lanLabel), true, ""},
		{"1.36.0", sized(keyPaused, "", keyLabels, lanLabel), false, CodePaused},
	} {
		w := newWorld(t)
		w.group("md-1", 0, "", c.annotations)
		v, err := ParseVersion(c.version)
		must(t, err)
		w.Autoscaler.Version = v
		g := of(t, Explain(w.Cluster, w.pod(wantsLabel)), "md-1")
		if g.Fits != c.scales || c.code != "" && has(g.Problems, c.code) == nil {
			t.Errorf("%s: %+v", c.version, g)
		}
	}
	if v, err := VersionOfImage("registry.k8s.io:5000/autoscaling/cluster-autoscaler:v1.32.1@sha256:00"); err != nil || v != (Version{1, 32, 1}) {
		t.Errorf("%v, %v", v, err)
	}
	for _, wrong := range []string{"", "1", "latest", "1.x", "1.2.3.4", "1.-2"} {
		if v, err := ParseVersion(wrong); err == nil {
			t.Errorf("%q is read as %s", wrong, v)
		}
	}
}

// What is proposed in place of a quantity is one.
func TestQuantity(t *testing.T) {
	for text, want := range map[string]string{"500mb": "500M", "128GB": "128G", "8GiB": "8Gi", "8gi": "8Gi", "8g": "8G", "8 Gi": "8Gi", " 8Gi": "8Gi", "8Gi ": "8Gi", "4096MB": "4096M",
		"4096m": "4096M", "4096": "4Gi", "nonsense": "8Gi", "": "8Gi"} {
		if got := Quantity(text, "memory"); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{"4cores": "4", "2 ": "2", "500mcpu": "500m", "x": "4"} {
		if got := Quantity(text, "cpu"); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
