package admission

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// example is one document of a file that people copy.
type example struct{ file, kind, text string }

func examples(t *testing.T) (all []example) {
	for _, dir := range []string{"../../docs/examples", "../../deploy/examples"} {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no examples in %s: %v", dir, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, document := range strings.Split(string(text), "\n---\n") {
				var typed metav1.TypeMeta
				if err := yaml.Unmarshal([]byte(document), &typed); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				all = append(all, example{file, typed.Kind, document})
			}
		}
	}
	return all
}

// Whoever creates an example is neither refused nor warned, and no field of it
// is unknown.
func TestExamplesPass(t *testing.T) {
	all := examples(t)
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "web"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "lab"}},
		read[corev1.Node](t, `
metadata: {name: node1}
spec: {podCIDRs: [10.244.0.0/24, "fd00:10:244::/64"]}
status: {addresses: [{type: InternalIP, address: 192.0.2.11}]}`),
	}
	for _, e := range all {
		if e.kind == "Network" {
			n := read[v1alpha1.Network](t, e.text)
			var names []string
			for i, s := range n.Spec.Subnets {
				p := &v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", n.Name, i)}}
				p.Spec.Domain, p.Spec.CIDR, p.Spec.Ranges, p.Spec.Exclude, p.Spec.Gateway = n.Name, s.CIDR, s.Ranges, s.Exclude, s.Gateway
				objects, names = append(objects, p), append(names, fmt.Sprintf("%q", p.Name))
			}
			objects = append(objects, nad("default", n.Name, `{"type":"bridge","ipam":{"type":"tsunagu","pools":[`+strings.Join(names, ",")+`]}}`))
		}
	}
	others := func(e example) *Desk { // the pools of the same file are there first: kubectl apply makes all of it
		here := objects
		for _, o := range all {
			if o.kind == "IPPool" && o.file == e.file && o != e {
				here = append(here[:len(here):len(here)], read[v1alpha1.IPPool](t, o.text))
			}
		}
		c := cluster(t, here...)
		return &Desk{Cached: c, Live: c, Log: slog.New(slog.DiscardHandler), Books: usedBooks{}}
	}
	for _, e := range all {
		t.Run(filepath.Base(e.file)+"/"+e.kind, func(t *testing.T) {
			switch e.kind {
			case "IPPool":
				if _, err := ipam.ParsePool(*read[v1alpha1.IPPool](t, e.text)); err != nil {
					t.Error(err)
				}
				says(t, ask(t, others(e), review(t, "ippools", "IPPool", "", e.text, "")))
			case "Network":
				says(t, ask(t, others(e), review(t, "networks", "Network", "", e.text, "")))
			case "Pod":
				p := read[corev1.Pod](t, e.text)
				says(t, ask(t, others(e), review(t, "pods", "Pod", defaulted(p.Namespace), e.text, "")))
			case "Deployment":
				d := read[appsv1.Deployment](t, e.text)
				says(t, ask(t, others(e), review(t, "deployments", "Deployment", defaulted(d.Namespace), e.text, "")))
			case "Role":
				read[rbacv1.Role](t, e.text)
			case "RoleBinding":
				read[rbacv1.RoleBinding](t, e.text)
			default:
				t.Errorf("no test knows what to do with kind %q", e.kind)
			}
		})
	}
}

func defaulted(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return namespace
}
