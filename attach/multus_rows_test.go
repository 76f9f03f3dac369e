package attach

// multusRow is one thing that people write for Multus, and what comes of it.
type multusRow struct {
	// Part of the contract, and the field or form.
	Part, Option string
	// Annotation of the Pod, and Config of the definition "net" that it selects ("" for none in the object).
	Annotation, Config string
	// Want are words of the refusal; "" means that it works, and that Shows is seen in the Pod's interfaces or its network-status.
	Want, Shows string
	// File is what the node's disk has for net; Namespace is where net is if not in the Pod's.
	File, Namespace string
}

const (
	multusPlain = `{"cniVersion":"1.0.0","name":"net","type":"macvlan","master":"up1"}`
	multusLan   = `{"cniVersion":"1.0.0","name":"net","type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"10.9.0.0/24"}}`
)

var multusRows = []multusRow{
	{Part: "annotation", Option: "short form", Annotation: `net`, Config: multusLan, Shows: "net1:[10.9.0.2/24]"},
	{Part: "annotation", Option: "short form, twice", Annotation: `net,net`, Config: multusLan, Shows: "net2:[10.9.0.3/24]"},
	{Part: "annotation", Option: "name@interface", Annotation: `net@lan0`, Config: multusLan, Shows: "lan0:[10.9.0.2/24]"},
	{Part: "annotation", Option: "namespace/name", Annotation: `infra/net`, Config: multusLan, Namespace: "infra", Shows: `"name":"infra/net"`},
	{Part: "annotation", Option: "interface that is taken", Annotation: `net@eth0`, Config: multusLan, Want: "is taken by the pod network"},
	{Part: "annotation", Option: "one object, no list", Annotation: `{"name":"net"}`, Config: multusLan, Want: "must be a list"},
	{Part: "annotation", Option: "network that does not exist", Annotation: `nett`, Config: multusLan, Want: "cannot find a network-attachment-definition (nett)"},
	{Part: "element", Option: "name", Annotation: `[{"name":"net"}]`, Config: multusLan, Shows: "net1:[10.9.0.2/24]"},
	{Part: "element", Option: "name (missing)", Annotation: `[{"interface":"lan0"}]`, Config: multusLan, Want: "is missing"},
	{Part: "element", Option: "namespace", Annotation: `[{"name":"net","namespace":"infra"}]`, Config: multusLan, Namespace: "infra", Shows: `"name":"infra/net"`},
	{Part: "element", Option: "interface", Annotation: `[{"name":"net","interface":"lan0"}]`, Config: multusLan, Shows: "lan0:[10.9.0.2/24]"},
	{Part: "element", Option: "ips", Annotation: `[{"name":"net","ips":["10.9.0.77"]}]`, Config: multusLan, Shows: "net1:[10.9.0.77/24]"},
	{Part: "element", Option: "ips (outside of the range)", Annotation: `[{"name":"net","ips":["10.8.0.77"]}]`, Config: multusLan, Want: "10.8.0.77"},
	{Part: "element", Option: "mac", Annotation: `[{"name":"net","mac":"02:00:5e:10:00:01"}]`, Config: multusLan, Shows: `"mac":"02:00:5e:10:00:01"`},
	{Part: "element", Option: "default-route", Annotation: `[{"name":"net","default-route":["10.9.0.1"]}]`, Config: multusLan, Shows: `"gateway":["10.9.0.1"]`},
	{Part: "element", Option: "cni-args", Annotation: `[{"name":"net","cni-args":"x"}]`, Config: multusLan, Want: "must be an object"},
	{Part: "element", Option: "portMappings (no containerPort)", Annotation: `[{"name":"net","portMappings":[{"hostPort":1}]}]`, Config: multusLan, Want: "containerPort 0"},
	{Part: "element", Option: "bandwidth (negative)", Annotation: `[{"name":"net","bandwidth":{"ingressRate":-1}}]`, Config: multusLan, Want: "whole numbers"},
	{Part: "element", Option: "infiniband-guid (not a GUID)", Annotation: `[{"name":"net","infiniband-guid":"c2"}]`, Config: multusLan, Want: "not a GUID"},
	{Part: "element", Option: "deviceID (not a string)", Annotation: `[{"name":"net","deviceID":7}]`, Config: multusLan, Want: "must be a string"},
	{Part: "element", Option: "field that nobody knows", Annotation: `[{"name":"net","ip":["10.9.0.7"]}]`, Config: multusLan, Want: "is not a field of a network selection"},
	{Part: "definition", Option: "conf", Annotation: `net`, Config: multusPlain, Shows: "net1:[]"},
	{Part: "definition", Option: "conflist", Annotation: `net`, Config: `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"macvlan","master":"up1"},{"type":"tuning","mtu":1400}]}`, Shows: `"mtu":1400`},
	{Part: "definition", Option: "without name", Annotation: `net`, Config: `{"cniVersion":"1.0.0","type":"macvlan","master":"up1"}`, Shows: "net1:[]"},
	{Part: "definition", Option: "without cniVersion", Annotation: `net`, Config: `{"name":"net","type":"macvlan","master":"up1"}`, Shows: "net1:[]"},
	{Part: "definition", Option: "file on the node's disk", Annotation: `net`, File: multusLan, Shows: "net1:[10.9.0.2/24]"},
	{Part: "definition", Option: "not JSON", Annotation: `net`, Config: `{"type":macvlan}`, Want: "line 1"},
	{Part: "definition", Option: "capabilities", Annotation: `[{"name":"net","ips":["10.9.0.201"],"mac":"02:00:5e:10:00:02"}]`, Config: `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"macvlan","master":"up1","capabilities":{"ips":true},"ipam":{"type":"host-local","subnet":"10.9.0.0/24","rangeStart":"10.9.0.200","rangeEnd":"10.9.0.246"}},{"type":"tuning","capabilities":{"mac":true}}]}`, Shows: "net1:[10.9.0.201/24]"},
}
