package manifest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

const deploy = "../../deploy"

// as converts an object to a type and refuses fields the type does not have.
func as[T any](t *testing.T, o unstructured.Unstructured) T {
	t.Helper()
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &typed, true); err != nil {
		t.Errorf("%s: %v", key(o), err)
	}
	return typed
}

func read(t *testing.T, path ...string) []unstructured.Unstructured {
	t.Helper()
	objects, err := Read(filepath.Join(append([]string{deploy}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// Deleting the install must not delete the definitions, and with them all
// Networks and the record of who holds which address.
func TestInstallHasNoDefinitions(t *testing.T) {
	for _, o := range read(t, "tsunagu.yaml") {
		if o.GetKind() == "CustomResourceDefinition" {
			t.Errorf("the install holds %s", key(o))
		}
	}
	for _, o := range read(t, "crds") {
		if o.GetKind() != "CustomResourceDefinition" {
			t.Errorf("deploy/crds holds %s", key(o))
		}
	}
}

func TestWorkloads(t *testing.T) {
	var pods []corev1.PodTemplateSpec
	for _, o := range read(t, "tsunagu.yaml") {
		switch o.GetKind() {
		case "DaemonSet":
			pods = append(pods, as[appsv1.DaemonSet](t, o).Spec.Template)
		case "Deployment":
			pods = append(pods, as[appsv1.Deployment](t, o).Spec.Template)
		}
	}
	if len(pods) != 2 {
		t.Fatalf("%d workloads", len(pods))
	}
	for _, p := range pods {
		if !p.Spec.HostNetwork {
			t.Errorf("%s needs a Pod network to start, and to stop after an uninstall", p.Spec.ServiceAccountName)
		}
		for _, c := range p.Spec.Containers {
			s := c.SecurityContext
			if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
				t.Errorf("%s writes to its root file system", c.Name)
			}
			if c.Resources.Limits.Memory().Cmp(*c.Resources.Requests.Memory()) != 0 {
				t.Errorf("%s may use memory that was not reserved", c.Name)
			}
			if c.LivenessProbe == nil || c.ReadinessProbe == nil {
				t.Errorf("%s has no probes", c.Name)
			}
		}
	}
}

// What each role may do, in words; a change here is a decision.
func TestRolesAreNarrow(t *testing.T) {
	const may = `agent: create,delete,get,list,update,watch ipaddresses; create,delete,get,list,update,watch ipblocks; create,get,list,patch ipclaims; create,get,list,watch ipregions; create,get,list,watch nodenetworks; create,patch events; get,list,watch daemonsets of tsunagu-agent; get,list,watch ippools; get,list,watch namespaces; get,list,watch network-attachment-definitions; get,list,watch networks; get,list,watch nodes; get,list,watch pods; list servicecidrs; patch ipclaims/status; patch nodenetworks/status; patch pods/status
controller: create leases; create mutatingwebhookconfigurations; create secrets; create validatingwebhookconfigurations; create,delete,get,list,update,watch ipaddresses; create,delete,get,list,update,watch ipclaims; create,delete,get,list,update,watch ippools; create,delete,get,list,update,watch network-attachment-definitions; create,patch events; delete,get,list,update,watch ipblocks; delete,get,list,update,watch ipregions; delete,get,update mutatingwebhookconfigurations of tsunagu; delete,get,update validatingwebhookconfigurations of tsunagu; get clusterroles of tsunagu-controller; get,list,patch,watch nodes; get,list,update,watch nodenetworks; get,list,watch ipamclaims; get,list,watch namespaces; get,list,watch networks; get,update leases of tsunagu-controller; get,update secrets of tsunagu-webhook; list servicecidrs; list,watch pods; patch ipamclaims/status; patch ipclaims/status; patch,update ippools/status; patch,update networks/status; update networks/finalizers`
	words := map[string][]string{}
	for _, o := range read(t, "tsunagu.yaml") {
		var rules []rbacv1.PolicyRule
		switch o.GetKind() {
		case "ClusterRole":
			rules = as[rbacv1.ClusterRole](t, o).Rules
		case "Role":
			rules = as[rbacv1.Role](t, o).Rules
		}
		who := strings.TrimPrefix(o.GetName(), "tsunagu-")
		for _, r := range rules {
			verbs := slices.Sorted(slices.Values(r.Verbs))
			for _, res := range r.Resources {
				word := strings.Join(verbs, ",") + " " + res
				if len(r.ResourceNames) > 0 {
					word += " of " + strings.Join(r.ResourceNames, ",")
				}
				words[who] = append(words[who], word)
			}
		}
	}
	var lines []string
	for _, who := range []string{"agent", "controller"} {
		slices.Sort(words[who])
		lines = append(lines, who+": "+strings.Join(words[who], "; "))
	}
	if got := strings.Join(lines, "\n"); got != may {
		t.Errorf("the roles are now\n%s\nwant\n%s", got, may)
	}
}

// Whoever follows the examples must not meet an error of ours.
func TestExamples(t *testing.T) {
	have := schemas(t)
	networks := map[string]bool{}
	var asked []string
	for _, o := range append(read(t, "examples"), read(t, "..", "docs", "examples")...) {
		switch o.GetKind() {
		case "IPPool":
			if err := have["IPPool"].Check(&o, nil); err != nil {
				t.Errorf("%s: %v", key(o), err)
			}
		case "Network":
			networks[o.GetName()] = true
			if err := have["Network"].Check(&o, nil); err != nil {
				t.Errorf("%s: %v", key(o), err)
			}
		case "Pod":
			asked = append(asked, asks(t, as[corev1.Pod](t, o).Annotations)...)
		case "Deployment":
			asked = append(asked, asks(t, as[appsv1.Deployment](t, o).Spec.Template.Annotations)...)
		case "Role", "RoleBinding": // rights for a while, which the agents do not have by themselves
			if subjects, _, _ := unstructured.NestedSlice(o.Object, "subjects"); o.GetKind() == "RoleBinding" && fmt.Sprint(subjects) != "[map[kind:ServiceAccount name:tsunagu-agent namespace:tsunagu-system]]" {
				t.Errorf("%s gives rights to %v", key(o), subjects)
			}
		default:
			t.Errorf("unexpected %s", key(o))
		}
	}
	for _, name := range asked {
		if !networks[name] {
			t.Errorf("an example asks for the network %q, which no example makes", name)
		}
	}
	if len(asked) < 4 {
		t.Errorf("examples ask for %q only", asked)
	}
}

// asks lists the networks in an annotation.
func asks(t *testing.T, annotations map[string]string) []string {
	t.Helper()
	text := annotations["k8s.v1.cni.cncf.io/networks"]
	var names []string
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		var list []struct{ Name string }
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Errorf("annotation %s: %v", text, err)
		}
		for _, e := range list {
			names = append(names, e.Name)
		}
		return names
	}
	for part := range strings.SplitSeq(text, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(part), "@")
		names = append(names, name)
	}
	return names
}
