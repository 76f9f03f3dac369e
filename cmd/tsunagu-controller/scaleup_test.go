package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// An API server with a MachineDeployment whose memory is no quantity, and a Pod that the scheduler has no node for.
func TestScaleUpsOfAnAPIServer(t *testing.T) {
	long := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	pod := func(name, since, reason string) string {
		return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"default","uid":"uid-%[1]s"},"spec":{"containers":[{"name":"c"}]},"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":%[3]q,"lastTransitionTime":%[2]q}]}}`, name, since, reason)
	}
	memory := "500mb"
	lists := map[string]func() []string{
		"nodes": func() []string { return nil },
		"pods": func() []string {
			return []string{pod("web", long, "Unschedulable"), pod("young", time.Now().UTC().Format(time.RFC3339), "Unschedulable"), pod("gated", long, "SchedulingGated")}
		},
		"deployments": func() []string {
			return []string{`{"metadata":{"name":"cluster-autoscaler","namespace":"kube-system"},"spec":{"template":{"spec":{"serviceAccountName":"ca","containers":[{"name":"ca","image":"registry.k8s.io/autoscaling/cluster-autoscaler:v1.36.1","command":["./cluster-autoscaler","--cloud-provider=clusterapi"]}]}}}}`}
		},
		"machinedeployments": func() []string {
			return []string{fmt.Sprintf(`{"apiVersion":"cluster.x-k8s.io/v1beta2","kind":"MachineDeployment","metadata":{"name":"md-1","namespace":"default","annotations":{"cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size":"0","cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size":"3","capacity.cluster-autoscaler.kubernetes.io/cpu":"4","capacity.cluster-autoscaler.kubernetes.io/memory":%q}},"spec":{"clusterName":"prod","replicas":0,"template":{"spec":{"infrastructureRef":{"apiGroup":"infrastructure.cluster.x-k8s.io","kind":"VSphereMachineTemplate","name":"md-1"}}}}}`, memory)}
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch name := path.Base(r.URL.Path); {
		case r.Method == http.MethodPost && name == "subjectaccessreviews":
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","status":{"allowed":true}}`)
		case lists[name] != nil:
			fmt.Fprintf(w, `{"kind":"List","apiVersion":"v1","metadata":{},"items":[%s]}`, strings.Join(lists[name](), ","))
		case name == "infrastructure.cluster.x-k8s.io" || name == "cluster.x-k8s.io":
			fmt.Fprintf(w, `{"kind":"APIGroup","apiVersion":"v1","name":%q,"versions":[{"groupVersion":"%[1]s/v1beta2","version":"v1beta2"}],"preferredVersion":{"groupVersion":"%[1]s/v1beta2","version":"v1beta2"}}`, name)
		default:
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
		}
	}))
	defer server.Close()
	explain, err := scaleUps(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	all, err := explain(t.Context())
	if err != nil || len(all) != 1 || all[0].UID != "uid-web" || all[0].Adds || !strings.Contains(all[0].Text, `memory="500mb"`) || !strings.Contains(all[0].Text, `memory="500M"`) {
		t.Fatalf("%+v, %v", all, err)
	}
	memory = "8Gi"
	if all, err := explain(t.Context()); err != nil || len(all) != 1 || !all[0].Adds || !strings.Contains(all[0].Text, "Cluster Autoscaler 1.36.1 adds a node of MachineDeployment default/md-1") {
		t.Errorf("%+v, %v", all, err)
	}
	lists["machinedeployments"] = func() []string { return nil }
	if all, err := explain(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("without Cluster API: %+v, %v", all, err)
	}
}
