package attach

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// containerID is what the CNI specification permits (CNI 1.1.0 section 2, CNI_CONTAINERID).
var containerID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`)

// FuzzReadRequest: whatever a runtime, or somebody who found the socket, sends, the answer is a call whose parts are what the
// specification permits, or an error of CNI.
func FuzzReadRequest(f *testing.F) {
	for _, verb := range []string{"ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"} {
		f.Add(verb, "c1", "eth0", "/run/netns/x", "K8S_POD_NAMESPACE=team;K8S_POD_NAME=web;K8S_POD_UID=u", `{"cniVersion":"1.1.0","name":"tsunagu","type":"tsunagu-cni","runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":8080,"protocol":"tcp"}],"ips":["10.0.0.1/8"]}}`)
	}
	f.Add("ADD", "../../x", "a/b", "", "IgnoreUnknown=1;;=", `{"cniVersion":"1.0.0","name":"n","ipam":{"type":"whereabouts","range":7},"args":{"cni":{"ips":["x"]}}}`)
	f.Add("GC", "", "", "", "", `{"cniVersion":"1.1.0","name":"n","cni.dev/valid-attachments":[{"containerID":"c","ifname":"eth0"},null]}`)
	f.Fuzz(func(t *testing.T, verb, id, ifName, path, args, config string) {
		q := shimrpc.Request{Command: verb, ContainerID: id, IfName: ifName, NetNS: path, Args: args, Config: []byte(config)}
		r, bad := readRequest(q)
		if bad != nil {
			if bad.Code == 0 || bad.Msg == "" {
				t.Errorf("%+v is no error of CNI", bad)
			}
			return
		}
		if !shimrpc.Known(r.version) || r.network == "" {
			t.Errorf("version %q, network %q", r.version, r.network)
		}
		if verb != "ADD" {
			return
		}
		switch {
		case !containerID.MatchString(id):
			t.Errorf("container ID %q is accepted", id)
		case !interfaceName(ifName) && ifName != "eth0":
			t.Errorf("interface %q is accepted", ifName)
		case path == "":
			t.Error("an ADD without a namespace is accepted")
		case r.pod.Namespace == "" || r.pod.Name == "" || strings.Contains(r.pod.Name, ";"):
			t.Errorf("Pod %+v", r.pod)
		}
	})
}
