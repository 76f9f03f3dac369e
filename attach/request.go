package attach

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// request is one CNI call, read.
type request struct {
	shimrpc.Request
	// version is the configuration's cniVersion, network its name.
	version, network string
	pod              podRef
	ports            []portMapping
	// capabilities is runtimeConfig, unread.
	capabilities map[string]json.RawMessage
	// valid are the attachments that the runtime still has (GC).
	valid []validAttachment
	// ipam is set when another plugin calls us for addresses only.
	ipam *ipamRequest
}

// podRef is what the runtime says of the Pod (CNI_ARGS).
type podRef struct {
	Namespace, Name, UID string
	// ips are addresses asked for; IPAM plugins know them.
	ips string
}

// portMapping is one element of runtimeConfig.portMappings (CNI conventions).
type portMapping struct {
	HostPort      int    `json:"hostPort"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP"`
}

type validAttachment struct {
	ContainerID string `json:"containerID"`
	IfName      string `json:"ifname"`
}

// readRequest checks a call at the door. Errors are CNI errors.
func readRequest(q shimrpc.Request) (*request, *shimrpc.Error) {
	r := &request{Request: q}
	var conf struct {
		Version string          `json:"cniVersion"`
		Name    string          `json:"name"`
		Type    string          `json:"type"`
		IPAM    json.RawMessage `json:"ipam"`
		Runtime struct {
			Ports []portMapping `json:"portMappings"`
			IPs   []string      `json:"ips"`
		} `json:"runtimeConfig"`
		Args struct {
			CNI struct {
				IPs []string `json:"ips"`
			} `json:"cni"`
		} `json:"args"`
		Valid []validAttachment `json:"cni.dev/valid-attachments"`
	}
	if e := q.Environment(); e != nil {
		return r, e
	}
	if err := json.Unmarshal(q.Config, &conf); err != nil {
		return r, &shimrpc.Error{Code: shimrpc.CodeDecode, Msg: "reading the CNI configuration: " + explainJSON(string(q.Config), err)}
	}
	r.version, r.network, r.valid = conf.Version, conf.Name, conf.Valid
	if !shimrpc.Known(r.version) {
		return r, &shimrpc.Error{Code: shimrpc.CodeIncompatibleVersion, Msg: fmt.Sprintf("cniVersion %q is not spoken here", r.version),
			Details: "spoken are " + strings.Join(shimrpc.Versions, ", ")}
	}
	if r.network == "" {
		return r, &shimrpc.Error{Code: shimrpc.CodeBadConfig, Msg: `the CNI configuration has no "name"`}
	}
	var section struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(conf.IPAM, &section) // what it says wrong is ipam.ParseConfig's to tell
	if asIPAM(conf.Type, section.Type) {
		r.ipam = &ipamRequest{section: conf.IPAM, ips: conf.Runtime.IPs}
		if len(r.ipam.ips) == 0 {
			r.ipam.ips = conf.Args.CNI.IPs
		}
	}
	if q.Command != "ADD" {
		return r, nil // everything else goes by the container ID
	}
	r.ports = conf.Runtime.Ports
	var whole struct {
		Runtime map[string]json.RawMessage `json:"runtimeConfig"`
	}
	_ = json.Unmarshal(q.Config, &whole) // was read before
	if r.capabilities = whole.Runtime; r.capabilities == nil {
		r.capabilities = map[string]json.RawMessage{}
	}
	var e *shimrpc.Error
	r.pod, e = readArgs(q.Args)
	if r.ipam != nil && len(r.ipam.ips) == 0 && r.pod.ips != "" {
		r.ipam.ips = strings.Split(r.pod.ips, ",")
	}
	return r, e
}

// readArgs reads CNI_ARGS. Keys that are not ours are passed over, as IgnoreUnknown asks.
func readArgs(args string) (podRef, *shimrpc.Error) {
	var p podRef
	for _, pair := range strings.Split(args, ";") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return p, &shimrpc.Error{Code: shimrpc.CodeBadEnvironment, Msg: fmt.Sprintf("CNI_ARGS: %q is not KEY=VALUE", pair)}
		}
		switch key {
		case "K8S_POD_NAMESPACE":
			p.Namespace = value
		case "K8S_POD_NAME":
			p.Name = value
		case "K8S_POD_UID":
			p.UID = value
		case "IP":
			p.ips = value
		}
	}
	if p.Namespace == "" || p.Name == "" {
		return p, &shimrpc.Error{Code: shimrpc.CodeBadEnvironment, Msg: "CNI_ARGS names no Pod: K8S_POD_NAMESPACE and K8S_POD_NAME are not set",
			Details: "tsunagu attaches Pods of Kubernetes only"}
	}
	return p, nil
}

// mappings reads the ports of the node that the Pod wants. A hostPort of 0 asks for none.
func (r *request) mappings() ([]hostport.Mapping, error) {
	var all []hostport.Mapping
	for i, p := range r.ports {
		if p.HostPort == 0 {
			continue
		}
		m, err := hostport.ParseMapping(p.HostIP, p.HostPort, p.ContainerPort, p.Protocol)
		if err != nil {
			return nil, refusef(ReasonBadPort, "correct the ports of the Pod's containers", "port mapping %d: %v", i+1, err)
		}
		all = append(all, m)
	}
	return all, nil
}
