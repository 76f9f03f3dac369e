package doctor

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
)

const sizes = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-"
const size = "capacity.cluster-autoscaler.kubernetes.io/"

// mds adds a MachineDeployment without nodes; annotations as "key=value", each replacing what a right one has, "key-" without it.
func mds(labels string, replicas int64, annotations ...string) func(*Snapshot) {
	return func(s *Snapshot) {
		all := map[string]string{sizes + "min-size": "0", sizes + "max-size": "3", size + "cpu": "4", size + "memory": "8Gi"}
		for _, a := range annotations {
			if key, ok := strings.CutSuffix(a, "-"); ok && !strings.Contains(a, "=") {
				delete(all, key)
				continue
			}
			key, value, _ := strings.Cut(a, "=")
			all[key] = value
		}
		o := object(fmt.Sprintf(`{apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineDeployment, metadata: {name: md-1, namespace: default},
spec: {clusterName: prod, template: {metadata: {labels: {%s}}, spec: {infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: VSphereMachineTemplate, name: md-1}}}}}`, labels))
		if err := unstructured.SetNestedField(o.Object, replicas, "spec", "replicas"); err != nil {
			panic(err)
		}
		o.SetAnnotations(all)
		g, err := scaleup.ParseGroup(&o)
		if err != nil {
			panic(err)
		}
		if s.ScaleUp == nil {
			s.ScaleUp = &scaleup.Cluster{Autoscaler: scaleup.Autoscaler{Version: scaleup.Newest}}
		}
		s.ScaleUp.Groups, s.ScaleUp.Nodes, s.ScaleUp.Pods = append(s.ScaleUp.Groups, g), s.Nodes, s.Pods
		s.Autoscaled = true
	}
}

// both does one thing after the other.
func both(all ...func(*Snapshot)) func(*Snapshot) {
	return func(s *Snapshot) {
		for _, f := range all {
			f(s)
		}
	}
}

func autoscaler(version scaleup.Version, args ...string) func(*Snapshot) {
	return func(s *Snapshot) { s.ScaleUp.Autoscaler.Version, s.ScaleUp.Autoscaler.Args = version, args }
}

func object(text string) unstructured.Unstructured {
	o := unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		panic(err)
	}
	return o
}

// pending is a Pod that no node takes.
func pending(spec string) func(*Snapshot) {
	return func(s *Snapshot) {
		p := corev1.Pod{ObjectMeta: named("demo", "p1", "uid-p1")}
		if err := yaml.Unmarshal([]byte(spec), &p.Spec); err != nil {
			panic(err)
		}
		p.Labels = map[string]string{"app": "web"}
		p.Status.Phase = corev1.PodPending
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
		s.Pods = append(s.Pods, p)
	}
}

// logged adds a log of a line.
func logged(lines ...string) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Texts = append(s.Texts, Text{"x.log", strings.Join(lines, "\n") + "\n"})
	}
}

// machine gives node1 a Machine.
func machine(id string) func(*Snapshot) {
	return both(mds("", 1), func(s *Snapshot) {
		s.Nodes[0].Spec.ProviderID = "vsphere://4230"
		s.ScaleUp.Machines = append(s.ScaleUp.Machines, object(`{kind: Machine, metadata: {name: m1, namespace: default, labels: {cluster.x-k8s.io/deployment-name: md-1}}, spec: {providerID: "`+id+`"}, status: {nodeRef: {name: node1}}}`))
	})
}

func notTriggered(message string) func(*Snapshot) {
	return func(s *Snapshot) {
		s.ScaleEvents = append(s.ScaleEvents, warning("p1", "cluster-autoscaler", "NotTriggerScaleUp", message))
	}
}

const (
	restricted   = "lan.node-restriction.kubernetes.io/blue"
	noGroupLine  = `I0523 12:00:00.000000       1 pre_filtering_processor.go:57] Node node1 should not be processed by cluster autoscaler (no node group config)`
	hangingLine  = `E1123 09:00:00.000000       1 reflector.go:205] "Failed to watch" err="failed to list infrastructure.cluster.x-k8s.io/v1beta1, Resource=vspheremachinetemplates: vspheremachinetemplates.infrastructure.cluster.x-k8s.io is forbidden: User \"system:serviceaccount:kube-system:ca\" cannot list resource"`
	throttleLine = `I1123 09:00:00.000000       1 request.go:752] "Waited before sending request" delay="1.19s" reason="client-side throttling, not priority and fairness"`
	onMD         = "error | MachineDeployment default/md-1 | "
	onMDWarn     = "warning | MachineDeployment default/md-1 | "
)

var machineDiagnoses = []diagnosis{
	{"both sizes", mds("", 0), "TSU7001", nil, ""},
	{"no size", mds("", 0, sizes+"min-size-", sizes+"max-size-"), "TSU7001", []string{onMDWarn + "no node group config | max-size=\"3\""}, ""},
	{"no min-size", mds("", 0, sizes+"min-size-"), "TSU7001", []string{onMDWarn + "min-size=\"0\""}, ""},
	{"no max-size", mds("", 0, sizes+"max-size-"), "TSU7001", []string{onMD + "max-size=\"3\""}, ""},
	{"nobody scales", both(mds("", 0, sizes+"min-size-", sizes+"max-size-"), func(s *Snapshot) { s.Autoscaled = false }), "TSU7001", nil, ""},
	{"whole numbers", mds("", 0), "TSU7002", nil, ""},
	{"max-size three", mds("", 0, sizes+"max-size=three"), "TSU7002", []string{onMD + "max-size=\"three\" | every node group | max-size=\"3\""}, ""},
	{"equal, new", mds("", 0, sizes+"min-size=3"), "TSU7003", nil, ""},
	{"equal, old", both(mds("", 0, sizes+"min-size=3"), autoscaler(scaleup.Version{1, 29, 0})), "TSU7003", []string{onMD + "1.29.0"}, ""},
	{"sized", mds("", 0), "TSU7004", nil, ""},
	{"not sized", mds("", 0, size+"cpu-", size+"memory-"), "TSU7004", []string{onMD + "nothing says how large | memory=\"8Gi\""}, ""},
	{"not sized, template not read", both(mds("", 0, size+"cpu-", size+"memory-"), func(s *Snapshot) { s.ScaleUp.Groups[0].Infra.Kind = "DockerMachineTemplate" }), "TSU7004",
		[]string{onMDWarn + "DockerMachineTemplate md-1 was not read"}, ""},
	{"8Gi", mds("", 0), "TSU7005", nil, ""},
	{"500mb", mds("", 0, size+"memory=500mb"), "TSU7005", []string{onMD + "memory=\"500mb\" | memory=\"500M\""}, ""},
	{"8GiB", mds("", 0, size+"memory=8GiB"), "TSU7005", []string{onMD + "memory=\"8Gi\""}, ""},
	{"right unit", mds("", 0), "TSU7006", nil, ""},
	{"4096m", mds("", 0, size+"memory=4096m"), "TSU7006", []string{onMDWarn + "4.096 bytes | memory=\"4096M\""}, ""},
	{"1.27.1", both(mds("", 0, size+"labels="+restricted+"=true"), autoscaler(scaleup.Version{1, 27, 1})), "TSU7007", nil, ""},
	{"1.26.2", both(mds("", 0, size+"labels="+restricted+"=true"), autoscaler(scaleup.Version{1, 26, 2})), "TSU7007", []string{onMDWarn + "1.26.2 does not read it | image.tag"}, ""},
	{"no blank", mds("", 0, size+"labels="+restricted+"=true"), "TSU7008", nil, ""},
	{"blank", mds("", 0, size+"labels=node.cluster.x-k8s.io/a=b, "+restricted+"=true"), "TSU7008", []string{onMDWarn + "blanks are kept | labels=\"node.cluster.x-k8s.io/a=b," + restricted + "=true\""}, ""},
	{"promised", both(pending(`nodeSelector: {`+restricted+`: "true"}`), mds(restricted+`: "true"`, 0, size+"labels="+restricted+"=true")), "TSU7009", nil, ""},
	{"in the template", both(pending(`nodeSelector: {`+restricted+`: "true"}`), mds(restricted+`: "true"`, 0)), "TSU7009", []string{"error | Pod demo/p1 | " + restricted}, ""},
	{"carried", mds("", 0, size+"labels="+restricted+"=true"), "TSU7010", nil, ""},
	{"not carried", mds("", 0, size+"labels=example.org/net=blue"), "TSU7010", []string{onMDWarn + "carries it to no Node"}, ""},
	{"1.4.2", both(mds(restricted+`: "true"`, 0), func(s *Snapshot) { s.ClusterAPI = scaleup.Version{1, 4, 2} }), "TSU7011", nil, ""},
	{"1.3.3", both(mds(restricted+`: "true"`, 0), func(s *Snapshot) { s.ClusterAPI = scaleup.Version{1, 3, 3} }), "TSU7011", []string{onMD + "1.3.3 | 1.4.0"}, ""},
	{"same as the node", machine("vsphere://4230"), "TSU7013", nil, ""},
	{"not as the node", both(func(s *Snapshot) {
		s.Nodes[0].Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	}, machine("vsphere://4230"), func(s *Snapshot) { s.ScaleUp.Groups[0].Annotations[size+"labels"] = restricted + "=true" }), "TSU7013", []string{onMDWarn + "Node node1"}, ""},
	{"all rights", mds("", 0), "TSU7014", nil, ""},
	{"no watch", both(mds("", 0), func(s *Snapshot) {
		s.ScaleUp.Autoscaler.Denied = map[string][]string{"VSphereMachineTemplate": {"watch"}}
	}), "TSU7014", []string{onMD + "may not watch | get, list and watch"}, ""},
	{"quiet", logged("I1123 Starting main loop"), "TSU7015", nil, ""},
	{"forbidden", logged("I1123 Starting main loop", hangingLine, hangingLine), "TSU7015", []string{"error | File x.log | vspheremachinetemplates | watch"}, ""},
	{"all known", logged("I1123 Starting main loop"), "TSU7016", nil, ""},
	{"no group", logged(noGroupLine), "TSU7016", []string{"error | File x.log | Node node1 | min-size"}, ""},
	{"no group, and why", both(mds("", 0, sizes+"max-size-"), logged(noGroupLine)), "TSU7016", []string{"error | File x.log | md-1 (TSU7001)"}, ""},
	{"same ID", machine("vsphere://4230"), "TSU7017", nil, ""},
	{"another ID", machine("vsphere://3042"), "TSU7017", []string{"error | Node node1 | \"vsphere://4230\" | --provider-id=vsphere://3042"}, ""},
	{"taken", nothing, "TSU7018", nil, ""},
	{"not taken", func(s *Snapshot) {
		s.Nodes[0].Spec.Taints = []corev1.Taint{{Key: "node.cluster.x-k8s.io/uninitialized"}}
	}, "TSU7018", []string{"error | Node node1 | after 1h0m0s"}, ""},
	{"found", both(mds("", 0), autoscaler(scaleup.Newest, "--node-group-auto-discovery=clusterapi:namespace=default")), "TSU7019", nil, ""},
	{"excluded", both(mds("", 0), autoscaler(scaleup.Newest, "--node-group-auto-discovery=clusterapi:clusterName=other")), "TSU7019", []string{onMD + "it wants other"}, ""},
	{"one namespace", both(mds("", 0), autoscaler(scaleup.Newest, "--node-group-auto-discovery=clusterapi:namespace=default")), "TSU7020", nil, ""},
	{"two namespaces", both(mds("", 0), autoscaler(scaleup.Newest, "--node-group-auto-discovery=clusterapi:namespace=a", "--node-group-auto-discovery=clusterapi:namespace=default")), "TSU7020", []string{onMD + "only the first, a,"}, ""},
	{"not paused", mds("", 0), "TSU7021", nil, ""},
	{"paused", mds("", 0, "cluster.x-k8s.io/paused="), "TSU7021", []string{onMD + "paused-"}, ""},
	{"some waiting", logged(throttleLine), "TSU7022", nil, ""},
	{"much waiting", logged(strings.Repeat(throttleLine+"\n", 20)), "TSU7022", []string{"warning | File x.log | 20 lines | --kube-client-qps"}, ""},
	{"all counted", both(mds("", 0), notTriggered("pod didn't trigger scale-up: 1 node(s) didn't match Pod's node affinity/selector")), "TSU7023", nil, ""},
	{"one not counted", both(mds("", 0, size+"memory=500mb"), mds("", 0), notTriggered("pod didn't trigger scale-up: 1 node(s) didn't match Pod's node affinity/selector")), "TSU7023",
		[]string{"error | Pod demo/p1 | considered 1 of 2 groups | TSU7005"}, ""},
	{"selected and there", both(pending(`nodeSelector: {`+restricted+`: "true"}`), mds("", 0, size+"labels="+restricted+"=true")), "TSU7024", nil, ""},
	{"selected and not there", both(pending(`nodeSelector: {`+restricted+`: "true"}`), mds("", 0)), "TSU7024", []string{"error | Pod demo/p1 | " + restricted}, ""},
	{"host promised", both(pending(spread), mds("", 0, size+"labels=node.cluster.x-k8s.io/esxi-host=h2")), "TSU7025", nil, ""},
	{"host not promised", both(pending(spread), mds("", 0)), "TSU7025", []string{"error | Pod demo/p1 | node.cluster.x-k8s.io/esxi-host"}, ""},
	{"taint", mds("", 0, size+"taints=a=b:NoSchedule"), "TSU7027", nil, ""},
	{"half a taint", mds("", 0, size+"taints=a=b"), "TSU7027", []string{onMDWarn + "no effect"}, ""},
	{"no claim", both(pending("{}"), mds("", 0)), "TSU7029", nil, ""},
	{"claim", both(pending("resourceClaims: [{name: nic, resourceClaimName: nic}]"), mds("", 0)), "TSU7029", []string{"error | Pod demo/p1 | "}, ""},
	{"room", both(pending("{}"), mds("", 2)), "TSU7034", nil, ""},
	{"no room", both(pending("{}"), mds("", 3)), "TSU7034", []string{"error | Pod demo/p1 | 3 of at most 3"}, ""},
}

const spread = `topologySpreadConstraints: [{maxSkew: 1, topologyKey: node.cluster.x-k8s.io/esxi-host, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]`

func TestConsidered(t *testing.T) {
	for message, want := range map[string]int{
		"pod didn't trigger scale-up: 1 node(s) didn't match Pod's node affinity/selector":                    1,
		"pod didn't trigger scale-up: 2 Insufficient memory, 3 node(s) had untolerated taint {a: b}":          5,
		"pod didn't trigger scale-up (it wouldn't fit if a new node is added): 1 max node group size reached": 1,
	} {
		if have, ok := considered(message); !ok || have != want {
			t.Errorf("%q: want %d, have %d", message, want, have)
		}
	}
	if _, ok := considered("pod didn't trigger scale-up"); ok {
		t.Error("no count is no number")
	}
}
