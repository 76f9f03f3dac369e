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
	"strings"
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

// fakeAPI answers lists as an API server does, one object a page.
type fakeAPI struct {
	lists   map[string][]any
	refused map[string]int
	all     int
}

var resources = map[string]string{
	"Node": "nodes", "Namespace": "namespaces", "Pod": "pods", "Event": "events", "DaemonSet": "daemonsets", "Deployment": "deployments",
	"CustomResourceDefinition": "customresourcedefinitions", "NetworkAttachmentDefinition": "network-attachment-definitions",
	"Network": "networks", "IPPool": "ippools", "IPBlock": "ipblocks", "IPAddress": "ipaddresses",
}

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
	code := max(f.refused[resource], f.all)
	switch {
	case code != 0:
		w.WriteHeader(code)
		reason := map[int]string{403: "Forbidden", 404: "NotFound", 401: "Unauthorized"}[code]
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":%q}`, reason, code, reason)
	case r.URL.Path == "/version":
		fmt.Fprint(w, `{"gitVersion":"v1.37.2"}`)
	case strings.HasSuffix(r.URL.Path, "/proxy/status"):
		fmt.Fprint(w, `{"version":"v0.1.0","cniConfigs":["00-tsunagu.conflist"],"serviceProxy":"kube-proxy","overlay":{"ready":true,"encap":"vxlan-gpe","mtu":1446}}`)
	default:
		f.page(w, f.lists[resource], r.URL.Query().Get("continue"))
	}
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
