package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write what the scripts' commands print into the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tsunagu":         main,
		"kubectl-tsunagu": main,
	})
}

// The scripts run the command line as people do, against an API server that
// serves the objects of a file:
//
//	cluster FILE... [-forbid RESOURCE] [-unknown RESOURCE] [-unauthorized]
//
// starts one and points KUBECONFIG at it;
//
//	exits CODE COMMAND...
//
// runs a command that must end with this exit code. testdata/cluster.yaml is
// in every script's directory.
func TestScripts(t *testing.T) {
	objects, err := os.ReadFile("testdata/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crds, err := filepath.Glob("../../deploy/crds/*.yaml")
	if err != nil || len(crds) == 0 {
		t.Fatalf("no definitions in deploy/crds: %v", err)
	}
	for _, name := range crds {
		crd, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(append(objects, "\n---\n"...), crd...)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return os.WriteFile(filepath.Join(env.WorkDir, "cluster.yaml"), objects, 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"cluster": startCluster, "exits": exits},
	})
}

// exits CODE COMMAND... runs a command that must end with an exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("want exit code %s, have %d (%v)", args[0], code, err)
	}
}

func startCluster(ts *testscript.TestScript, _ bool, args []string) {
	api := &fakeAPI{lists: map[string][]any{}, refused: map[string]int{}}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-forbid":
			i++
			api.refused[args[i]] = http.StatusForbidden
		case "-unknown":
			i++
			api.refused[args[i]] = http.StatusNotFound
		case "-unauthorized":
			api.all = http.StatusUnauthorized
		default:
			ts.Check(api.load(ts.ReadFile(args[i])))
		}
	}
	server := httptest.NewServer(api)
	ts.Defer(server.Close)
	kubeconfig := ts.MkAbs("kubeconfig")
	ts.Check(os.WriteFile(kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: fake, cluster: {server: %q}}]
users: [{name: fake, user: {token: fake}}]
contexts: [{name: fake, context: {cluster: fake, user: fake}}]
current-context: fake
`, server.URL), 0o600))
	ts.Setenv("KUBECONFIG", kubeconfig)
}

const whereaboutsGroup = "whereabouts.cni.cncf.io/"

// fakeAPI answers lists as an API server does, one object a page, and takes
// objects of tsunagu.
type fakeAPI struct {
	mu      sync.Mutex
	writes  int
	lists   map[string][]any
	refused map[string]int
	all     int
}

var resources = map[string]string{
	"Node": "nodes", "Namespace": "namespaces", "Pod": "pods", "Event": "events", "DaemonSet": "daemonsets", "Deployment": "deployments",
	"CustomResourceDefinition": "customresourcedefinitions", "NetworkAttachmentDefinition": "network-attachment-definitions",
	"Network": "networks", "IPPool": "ippools", "IPBlock": "ipblocks", "IPAddress": "ipaddresses",
	"ValidatingWebhookConfiguration": "validatingwebhookconfigurations", "Secret": "secrets",
	"MachineDeployment": "machinedeployments", "MachineSet": "machinesets", "Machine": "machines", "VSphereMachineTemplate": "vspheremachinetemplates",
}

const infraGroup = "/apis/infrastructure.cluster.x-k8s.io"

func (f *fakeAPI) load(text string) error {
	for _, doc := range strings.Split(text, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
			return err
		}
		kind, _ := object["kind"].(string)
		if kind == "" {
			continue
		}
		resource, ok := resources[kind]
		if version, _ := object["apiVersion"].(string); strings.HasPrefix(version, whereaboutsGroup) {
			resource, ok = whereaboutsGroup+strings.ToLower(kind)+"s", true
		}
		if !ok {
			return fmt.Errorf("the fake API server does not serve kind %q", kind)
		}
		f.lists[resource] = append(f.lists[resource], object)
	}
	return nil
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	resource := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	if strings.HasPrefix(r.URL.Path, "/apis/"+whereaboutsGroup) {
		resource = whereaboutsGroup + resource
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	code := max(f.refused[resource], f.all)
	switch {
	case code != 0:
		w.WriteHeader(code)
		reason := map[int]string{403: "Forbidden", 404: "NotFound", 401: "Unauthorized"}[code]
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":%q}`, reason, code, reason)
	case r.URL.Path == "/version":
		fmt.Fprint(w, `{"gitVersion":"v1.37.2"}`)
	case r.URL.Path == infraGroup:
		fmt.Fprint(w, `{"kind":"APIGroup","preferredVersion":{"groupVersion":"infrastructure.cluster.x-k8s.io/v1beta1"}}`)
	case strings.HasPrefix(r.URL.Path, infraGroup):
		f.template(w, resource)
	case strings.HasPrefix(r.URL.Path, "/apis/cluster.x-k8s.io/v1beta2/"): // an older Cluster API
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"NotFound"}`)
	case strings.HasSuffix(r.URL.Path, "/proxy/status"):
		fmt.Fprint(w, `{"version":"v0.1.0","cniConfigs":["00-tsunagu.conflist"],"serviceProxy":"kube-proxy","overlay":{"ready":true,"encap":"vxlan-gpe","mtu":1446}}`)
	case r.Method == http.MethodPost || strings.HasPrefix(r.URL.Path, "/apis/tsunagu.dev/") && strings.Count(unnamespaced(r.URL.Path), "/") == 5:
		f.object(w, r)
	default:
		f.page(w, f.lists[resource], r.URL.Query().Get("continue"))
	}
}

// template answers a request for one machine template.
func (f *fakeAPI) template(w http.ResponseWriter, name string) {
	for _, o := range f.lists["vspheremachinetemplates"] {
		if o.(map[string]any)["metadata"].(map[string]any)["name"] == name {
			_ = json.NewEncoder(w).Encode(o)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

// unnamespaced is a path without its namespace: the fake keeps objects by name.
func unnamespaced(path string) string {
	before, after, ok := strings.Cut(path, "/namespaces/")
	if _, resource, deep := strings.Cut(after, "/"); ok && deep {
		return before + "/" + resource
	}
	return path
}

// object answers requests about one object.
func (f *fakeAPI) object(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(unnamespaced(r.URL.Path), "/"), "/")
	refuse := func(code int, reason string) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":%q}`, reason, code, reason)
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	meta := func(o any) map[string]any { return o.(map[string]any)["metadata"].(map[string]any) }
	name := ""
	if len(parts) > 4 {
		name = parts[4]
	} else if name, _ = meta(body)["name"].(string); name == "" { // a review of rights: this API server knows none
		refuse(http.StatusNotFound, "NotFound")
		return
	}
	at := slices.IndexFunc(f.lists[parts[3]], func(o any) bool { return meta(o)["name"] == name })
	f.writes++
	switch {
	case r.Method == http.MethodPost && at >= 0:
		refuse(http.StatusConflict, "AlreadyExists")
		return
	case r.Method == http.MethodPost:
		meta(body)["uid"], meta(body)["resourceVersion"] = fmt.Sprintf("made-%d", f.writes), fmt.Sprint(f.writes)
		f.lists[parts[3]] = append(f.lists[parts[3]], any(body))
	case at < 0:
		refuse(http.StatusNotFound, "NotFound")
		return
	case r.Method == http.MethodPut:
		meta(body)["resourceVersion"] = fmt.Sprint(f.writes)
		f.lists[parts[3]][at] = body
	case r.Method == http.MethodDelete:
		f.lists[parts[3]] = slices.Delete(f.lists[parts[3]], at, at+1)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
		return
	default:
		body = f.lists[parts[3]][at].(map[string]any)
	}
	_ = json.NewEncoder(w).Encode(body)
}

func (f *fakeAPI) page(w http.ResponseWriter, all []any, from string) {
	start := 0
	fmt.Sscan(from, &start)
	list := map[string]any{"kind": "List", "metadata": map[string]any{}, "items": []any{}}
	if start < len(all) {
		list["items"] = all[start : start+1]
	}
	if start+1 < len(all) {
		list["metadata"] = map[string]any{"continue": fmt.Sprint(start + 1)}
	}
	var text bytes.Buffer
	_ = json.NewEncoder(&text).Encode(list)
	_, _ = w.Write(text.Bytes())
}
