package attach

import "strings"

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
	// Told are words of what the plugin tstplug-next was called with, or of "VERB interface".
	Told string
	// Default is the Pod's default network, Resource the definition's, Devices those of it that the Pod has.
	Default, Resource string
	Devices           []string
	// Isolation and Global are the agent's; Cluster is its cluster network.
	Isolation bool
	Global    []string
	Cluster   string
	// Every are the networks of every Pod. Status asks STATUS before the ADD.
	Every  EveryPod
	Status bool
	// Forgotten deletes the definition before DEL; GC has the runtime forget the Pod instead of DEL, and Kept has it say before that the
	// Pod is there.
	Forgotten, GC, Kept bool
	// Needs is a module without which the kernel refuses the row. Uplink is the name of the node's interface, and DHCP has a server behind it.
	Needs, Uplink string
	DHCP          bool
}

const (
	// multusNext is macvlan with a plugin of others behind it, which writes down what it is told. DIR is a folder of the test.
	multusNext = `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"macvlan","master":"up1"},{"type":"tstplug-next","dir":"DIR"CAPABILITIES}]}`
	// multusVersion is macvlan as a list of a version, with the same behind it.
	multusVersion = `{"cniVersion":"VERSION","name":"net","plugins":[{"type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"10.9.0.0/24"}},{"type":"tstplug-next","dir":"DIR"}]}`
	multusPlain   = `{"cniVersion":"1.0.0","name":"net","type":"macvlan","master":"up1"}`
	multusLan     = `{"cniVersion":"1.0.0","name":"net","type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"10.9.0.0/24"}}`
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
	{Part: "element", Option: "interfaceRequest (older name)", Annotation: `[{"name":"net","interfaceRequest":"lan0"}]`, Config: multusLan, Shows: "lan0:[10.9.0.2/24]"},
	{Part: "element", Option: "interface (longer than 15)", Annotation: `[{"name":"net","interface":"interface0123456"}]`, Config: multusLan, Want: "cannot be the name of an interface"},
	{Part: "element", Option: "ips (with a length)", Annotation: `[{"name":"net","ips":["10.9.0.77/24"]}]`, Config: multusLan, Shows: "net1:[10.9.0.77/24]"},
	{Part: "element", Option: "ips (another length)", Annotation: `[{"name":"net","ips":["10.9.0.77/16"]}]`, Config: multusLan, Want: "the subnet of pool net:10.9.0.0/24 is 10.9.0.0/24"},
	{Part: "element", Option: "ips (both families)", Annotation: `[{"name":"net","ips":["10.9.0.77","fd00:9::77"]}]`, Config: `{"name":"net","type":"macvlan","master":"up1","ipam":{"type":"host-local","ranges":[[{"subnet":"10.9.0.0/24"}],[{"subnet":"fd00:9::/64"}]]}}`, Shows: "net1:[10.9.0.77/24 fd00:9::77/64]"},
	{Part: "element", Option: "ips (no address at all)", Annotation: `[{"name":"net","ips":["10.9.0"]}]`, Config: multusLan, Want: "is not an IP address"},
	{Part: "element", Option: "ips (network without ipam)", Annotation: `[{"name":"net","ips":["10.9.0.77"]}]`, Config: multusPlain, Want: "10.9.0.77"},
	{Part: "element", Option: "mac (multicast)", Annotation: `[{"name":"net","mac":"01:00:5e:10:00:01"}]`, Config: multusLan, Want: "01:00:5e:10:00:01"},
	{Part: "element", Option: "default-route (empty list)", Annotation: `[{"name":"net","default-route":[]}]`, Config: multusLan, Shows: `"gateway":["10.9.0.1"]`},
	{Part: "element", Option: "default-route (not reachable)", Annotation: `[{"name":"net","default-route":["10.8.0.1"]}]`, Config: multusLan, Want: "cannot be reached"},
	{Part: "element", Option: "default-route (two of a family)", Annotation: `[{"name":"net","default-route":["10.9.0.1","10.9.0.254"]}]`, Config: multusLan, Want: "second gateway of its family"},
	{Part: "element", Option: "cni-args (built-in plugin)", Annotation: `[{"name":"net","cni-args":{"mac":"02:00:5e:10:00:03"}}]`, Config: `{"name":"net","type":"bridge","bridge":"br-net"}`, Shows: `"mac":"02:00:5e:10:00:03"`},
	{Part: "element", Option: "cni-args (plugin of others)", Annotation: `[{"name":"net","cni-args":{"tenant":"blue"}}]`, Config: multusCapable(""), Told: `"args":{"cni":{"tenant":"blue"}}`},
	{Part: "element", Option: "portMappings", Annotation: `[{"name":"net","portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp","hostIP":"192.0.2.1"}]}]`, Config: multusCapable("portMappings"), Told: `"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp","hostIP":"192.0.2.1"}]`},
	{Part: "element", Option: "portMappings (no plugin can)", Annotation: `[{"name":"net","portMappings":[{"hostPort":8080,"containerPort":80}]}]`, Config: multusLan, Want: `declares the capability "portMappings"`},
	{Part: "element", Option: "bandwidth", Annotation: `[{"name":"net","bandwidth":{"ingressRate":1000000,"ingressBurst":100000,"egressRate":2000000,"egressBurst":200000}}]`, Config: multusCapable("bandwidth"), Told: `"bandwidth":{"ingressRate":1000000,"ingressBurst":100000,"egressRate":2000000,"egressBurst":200000}`},
	{Part: "element", Option: "bandwidth (no plugin can)", Annotation: `[{"name":"net","bandwidth":{"ingressRate":1000000}}]`, Config: multusLan, Want: `declares the capability "bandwidth"`},
	{Part: "element", Option: "infiniband-guid", Annotation: `[{"name":"net","infiniband-guid":"c2:11:22:33:44:55:66:77"}]`, Config: multusCapable("infinibandGUID"), Told: `"infinibandGUID":"c2:11:22:33:44:55:66:77"`},
	{Part: "element", Option: "infiniband-guid (no plugin can)", Annotation: `[{"name":"net","infiniband-guid":"c2:11:22:33:44:55:66:77"}]`, Config: multusLan, Want: `declares the capability "infinibandGUID"`},
	{Part: "element", Option: "deviceID", Annotation: `[{"name":"net","deviceID":"0000:03:02.1"}]`, Config: multusCapable("deviceID"), Told: `"pciBusID":"0000:03:02.1"`},
	{Part: "element", Option: "deviceID (as a capability)", Annotation: `[{"name":"net","deviceID":"0000:03:02.1"}]`, Config: multusCapable("deviceID"), Told: `"runtimeConfig":{"deviceID":"0000:03:02.1"}`},
	{Part: "element", Option: "deviceID (not on the node)", Annotation: `[{"name":"net","deviceID":"0000:ff:1f.7"}]`, Config: `{"name":"net","type":"host-device"}`, Want: "0000:ff:1f.7"},
	{Part: "element", Option: "ips (plugin of others that gives none)", Annotation: `[{"name":"net","ips":["10.9.0.77/24"]}]`, Config: `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"tstplug-next","dir":"DIR","capabilities":{"ips":true}}]}`, Want: "address 10.9.0.77 is asked for, and plugin tstplug-next gave none"},
	{Part: "element", Option: "ips and mac, plugin of others behind it", Annotation: `[{"name":"net","ips":["10.9.0.77/24"],"mac":"02:00:5e:10:00:01"}]`, Config: `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"10.9.0.0/24"}},{"type":"tstplug-next","dir":"DIR","capabilities":{"ips":true,"mac":true}}]}`, Told: `"runtimeConfig":{"ips":["10.9.0.77/24"],"mac":"02:00:5e:10:00:01"}`},
	{Part: "element", Option: "ipam-claim-reference (no such claim)", Annotation: `[{"name":"net","ipam-claim-reference":"web-vn"}]`, Config: `{"name":"net","type":"macvlan","master":"up1","ipam":{"type":"whereabouts","range":"10.9.0.0/24"}}`, Want: "web-vn"},

	{Part: "who may use what", Option: "resourceName", Annotation: `net`, Config: multusCapable("deviceID"), Resource: "intel.com/vf", Devices: []string{"0000:03:02.1"}, Told: `"deviceID":"0000:03:02.1"`},
	{Part: "who may use what", Option: "resourceName, device-info", Annotation: `net`, Config: multusCapable(""), Resource: "intel.com/vf", Devices: []string{"0000:03:02.1"}, Shows: `"device-info":{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:03:02.1"}}`},
	{Part: "who may use what", Option: "resourceName (two networks, one device)", Annotation: `net,net`, Config: multusCapable(""), Resource: "intel.com/vf", Devices: []string{"0000:03:02.1"}, Want: "intel.com/vf"},
	{Part: "who may use what", Option: "namespaceIsolation", Annotation: `infra/net`, Namespace: "infra", Config: multusLan, Isolation: true, Want: "namespace isolation enabled, annotation violates permission, pod is in namespace default but refers to target namespace infra"},
	{Part: "who may use what", Option: "namespaceIsolation, own namespace", Annotation: `net`, Config: multusLan, Isolation: true, Shows: "net1:[10.9.0.2/24]"},
	{Part: "who may use what", Option: "globalNamespaces", Annotation: `infra/net`, Namespace: "infra", Config: multusLan, Isolation: true, Global: []string{"infra"}, Shows: `"name":"infra/net"`},
	{Part: "who may use what", Option: "default-network", Annotation: ``, Default: "net", Namespace: "kube-system", Config: multusLan, Shows: "eth0:[10.9.0.2/24]"},
	{Part: "who may use what", Option: "default-network (namespace/name)", Annotation: ``, Default: "infra/net", Namespace: "infra", Config: multusLan, Shows: `"name":"infra/net","interface":"eth0"`},
	{Part: "who may use what", Option: "default-network, JSON", Annotation: ``, Default: `[{"name":"net","namespace":"infra","ips":["10.9.0.77"]}]`, Namespace: "infra", Config: multusLan, Shows: "eth0:[10.9.0.77/24]"},
	{Part: "who may use what", Option: "default-network (two)", Annotation: ``, Default: "net,other", Namespace: "kube-system", Config: multusLan, Want: "a Pod has one default network"},
	{Part: "who may use what", Option: "default-network (missing)", Annotation: ``, Default: "nett", Namespace: "kube-system", Config: multusLan, Want: "cannot find a network-attachment-definition (nett)"},
	{Part: "who may use what", Option: "clusterNetwork", Annotation: ``, Cluster: "kube-system/net", Namespace: "kube-system", Config: multusLan, Shows: "eth0:[10.9.0.2/24]"},
	{Part: "who may use what", Option: "clusterNetwork and default-network", Annotation: ``, Cluster: "kube-system/other", Default: "net", Namespace: "kube-system", Config: multusLan, Shows: "eth0:[10.9.0.2/24]"},
	{Part: "who may use what", Option: "defaultNetworks", Annotation: ``, Every: EveryPod{Networks: []string{"net"}, Namespace: "default"}, Config: multusLan, Shows: "net1:[10.9.0.2/24]"},
	{Part: "who may use what", Option: "defaultNetworks and a network of the Pod's", Annotation: `net@lan0`, Every: EveryPod{Networks: []string{"net"}, Namespace: "default"}, Config: multusLan, Shows: "lan0:[10.9.0.3/24] net1:[10.9.0.2/24]"},
	{Part: "who may use what", Option: "defaultNetworks (of multusNamespace)", Annotation: ``, Every: EveryPod{Networks: []string{"net"}, Namespace: "infra"}, Namespace: "infra", Config: multusLan, Shows: `"name":"infra/net"`},
	{Part: "who may use what", Option: "systemNamespaces", Annotation: ``, Every: EveryPod{Networks: []string{"net"}, Namespace: "default", Except: []string{"default"}}, Config: multusLan, Shows: "map[eth0:[10.244.1.2/32 fd00:244:0:1::2/128]]"},
	{Part: "who may use what", Option: "defaultNetworks (no such network)", Annotation: ``, Every: EveryPod{Networks: []string{"nett"}, Namespace: "default"}, Config: multusLan, Want: "nett"},

	{Part: "verbs of plugins", Option: "CHECK", Annotation: `net`, Config: multusCapable(""), Told: "CHECK net1"},
	{Part: "verbs of plugins", Option: "disableCheck", Annotation: `net`, Config: `{"cniVersion":"1.0.0","name":"net","disableCheck":true,"plugins":[{"type":"tstplug-next","dir":"DIR"}]}`, Told: "ADD net1; DEL net1"},
	{Part: "verbs of plugins", Option: "DEL", Annotation: `net`, Config: multusCapable(""), Told: "ADD net1; CHECK net1; DEL net1"},
	{Part: "verbs of plugins", Option: "DEL, the definition is deleted", Annotation: `net`, Config: multusCapable(""), Forgotten: true, Told: "ADD net1; CHECK net1; DEL net1"},
	{Part: "verbs of plugins", Option: "prevResult (cached) of CHECK and DEL", Annotation: `net`, Config: multusCapable(""), Forgotten: true, Told: `"prevResult":{"cniVersion":"1.0.0"`},
	{Part: "verbs of plugins", Option: "GC, the runtime has forgotten the Pod", Annotation: `net`, Config: `{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"tstplug-next","dir":"DIR"}]}`, GC: true, Told: "ADD net1; CHECK net1; DEL net1"},
	{Part: "verbs of plugins", Option: "GC, the Pod is there", Annotation: `net`, Config: `{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"tstplug-next","dir":"DIR"}]}`, Kept: true, Told: "ADD net1; CHECK net1; GC; DEL net1"},
	{Part: "verbs of plugins", Option: "GC, version without it", Annotation: `net`, Config: `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"tstplug-next","dir":"DIR"}]}`, Kept: true, Told: "ADD net1; CHECK net1; DEL net1"},
	{Part: "verbs of plugins", Option: "disableGC", Annotation: `net`, Config: `{"cniVersion":"1.1.0","name":"net","disableGC":true,"plugins":[{"type":"tstplug-next","dir":"DIR"}]}`, Kept: true, Told: "ADD net1; CHECK net1; DEL net1"},
	{Part: "verbs of plugins", Option: "disableGC, the runtime has forgotten the Pod", Annotation: `net`, Config: `{"cniVersion":"1.1.0","name":"net","disableGC":true,"plugins":[{"type":"tstplug-next","dir":"DIR"}]}`, GC: true, Told: "ADD net1; CHECK net1; DEL net1"},
	{Part: "verbs of plugins", Option: "STATUS of the network of all Pods", Annotation: ``, Cluster: "kube-system/net", Namespace: "kube-system", Config: `{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"macvlan","master":"up1"},{"type":"tstplug-next","dir":"DIR"}]}`, Status: true, Told: "STATUS; ADD eth0; CHECK eth0; DEL eth0"},
	{Part: "verbs of plugins", Option: "STATUS (of another network)", Annotation: `net`, Config: `{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"tstplug-next","dir":"DIR"}]}`, Status: true, Told: "ADD net1; CHECK net1; DEL net1"},

	{Part: "versions", Option: "unknown", Annotation: `net`, Config: multusOf("2.0.0"), Want: "2.0.0"},
	{Part: "versions", Option: "unknown, nothing but built-in plugins", Annotation: `net`, Config: strings.Replace(multusLan, "1.0.0", "2.0.0", 1), Shows: "net1:[10.9.0.2/24]"},
	{Part: "versions", Option: "0.1.0", Annotation: `net`, Config: multusOf("0.1.0"), Told: `"cniVersion":"0.1.0"`},
	{Part: "versions", Option: "0.2.0", Annotation: `net`, Config: multusOf("0.2.0"), Told: `"cniVersion":"0.2.0"`},
	{Part: "versions", Option: "0.3.0", Annotation: `net`, Config: multusOf("0.3.0"), Told: `"cniVersion":"0.3.0"`},
	{Part: "versions", Option: "0.3.1", Annotation: `net`, Config: multusOf("0.3.1"), Told: `"cniVersion":"0.3.1"`},
	{Part: "versions", Option: "0.4.0", Annotation: `net`, Config: multusOf("0.4.0"), Told: `"cniVersion":"0.4.0"`},
	{Part: "versions", Option: "1.0.0", Annotation: `net`, Config: multusOf("1.0.0"), Told: `"cniVersion":"1.0.0"`},
	{Part: "versions", Option: "1.1.0", Annotation: `net`, Config: multusOf("1.1.0"), Told: `"cniVersion":"1.1.0"`},
	{Part: "versions", Option: "cniVersions", Annotation: `net`, Config: `{"cniVersion":"0.3.1","cniVersions":["0.3.1","0.4.0","1.0.0"],"name":"net","plugins":[{"type":"tstplug-next","dir":"DIR"}]}`, Told: `"cniVersion":"1.0.0"`},

	{Part: "definition", Option: "conf", Annotation: `net`, Config: multusPlain, Shows: "net1:[]"},
	{Part: "definition", Option: "conflist", Annotation: `net`, Config: `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"macvlan","master":"up1"},{"type":"tuning","mtu":1400}]}`, Shows: `"mtu":1400`},
	{Part: "definition", Option: "without name", Annotation: `net`, Config: `{"cniVersion":"1.0.0","type":"macvlan","master":"up1"}`, Shows: "net1:[]"},
	{Part: "definition", Option: "without cniVersion", Annotation: `net`, Config: `{"name":"net","type":"macvlan","master":"up1"}`, Shows: "net1:[]"},
	{Part: "definition", Option: "file on the node's disk", Annotation: `net`, File: multusLan, Shows: "net1:[10.9.0.2/24]"},
	{Part: "definition", Option: "not JSON", Annotation: `net`, Config: `{"type":macvlan}`, Want: "line 1"},
	{Part: "definition", Option: "file on the node's disk (conflist)", Annotation: `net`, File: `{"cniVersion":"0.4.0","name":"net","plugins":[{"type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"10.9.0.0/24"}}]}`, Shows: "net1:[10.9.0.2/24]"},
	{Part: "definition", Option: "file on the node's disk (of another name)", Annotation: `net`, File: `{"cniVersion":"0.4.0","name":"lan","type":"macvlan","master":"up1"}`, Want: `no file of this node is named "net"`},
	{Part: "definition", Option: "without type", Annotation: `net`, Config: `{"name":"net","master":"up1"}`, Want: `has no "type"`},
	{Part: "definition", Option: "dns", Annotation: `net`, Config: `{"name":"net","type":"macvlan","master":"up1","dns":{"nameservers":["10.9.0.53"],"domain":"lan.example","search":["lan.example"],"options":["ndots:2"]}}`, Shows: `"dns":{"nameservers":["10.9.0.53"],"domain":"lan.example","search":["lan.example"],"options":["ndots:2"]}`},
	{Part: "definition", Option: "type that the node does not have", Annotation: `net`, Config: `{"name":"net","type":"calico"}`, Want: `plugin "calico" is neither built in nor on this node`},
	{Part: "definition", Option: "conflist without plugins", Annotation: `net`, Config: `{"name":"net","plugins":[]}`, Want: `"plugins" is empty`},
	{Part: "definition", Option: "conflist with two interfaces", Annotation: `net`, Config: `{"name":"net","plugins":[{"type":"macvlan","master":"up1"},{"type":"ptp"}]}`, Want: "makes a second interface"},
	{Part: "definition", Option: "capabilities", Annotation: `[{"name":"net","ips":["10.9.0.201"],"mac":"02:00:5e:10:00:02"}]`, Config: `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"macvlan","master":"up1","capabilities":{"ips":true},"ipam":{"type":"host-local","subnet":"10.9.0.0/24","rangeStart":"10.9.0.200","rangeEnd":"10.9.0.246"}},{"type":"tuning","capabilities":{"mac":true}}]}`, Shows: "net1:[10.9.0.201/24]"},

	// The examples of the plugins' documentation (cni.dev/plugins) and of Multus' (docs/quickstart.md), letter by letter. One that leaves
	// the name to others is put into a bridge.
	{Part: "examples of the documentation", Option: "bridge", Annotation: `net`, Config: `{"cniVersion":"0.3.1","name":"mynet","type":"bridge","bridge":"mynet0","isDefaultGateway":true,"forceAddress":false,"ipMasq":true,"hairpinMode":true,"ipam":{"type":"host-local","subnet":"10.10.0.0/16"}}`, Shows: "net1:[10.10.0.2/16]"},
	{Part: "examples of the documentation", Option: "bridge, L2 only", Annotation: `net`, Config: `{"cniVersion":"0.3.1","name":"mynet","type":"bridge","bridge":"mynet0","ipam":{}}`, Shows: "net1:[]"},
	{Part: "examples of the documentation", Option: "ipvlan", Annotation: `net`, Config: `{"name":"mynet","type":"ipvlan","master":"eth0","linkInContainer":false,"ipam":{"type":"host-local","subnet":"10.1.2.0/24"}}`, Shows: "net1:[10.1.2.2/24]", Needs: "ipvlan", Uplink: "eth0"},
	{Part: "examples of the documentation", Option: "vlan", Annotation: `net`, Config: `{"name":"mynet","cniVersion":"0.3.1","type":"vlan","master":"eth0","mtu":1500,"vlanId":5,"linkInContainer":false,"ipam":{"type":"host-local","subnet":"10.1.1.0/24"},"dns":{"nameservers":["10.1.1.1","8.8.8.8"]}}`, Shows: "net1:[10.1.1.2/24]", Needs: "8021q", Uplink: "eth0"},
	{Part: "examples of the documentation", Option: "ptp", Annotation: `net`, Config: `{"name":"mynet","type":"ptp","ipam":{"type":"host-local","subnet":"10.1.1.0/24"},"dns":{"nameservers":["10.1.1.1","8.8.8.8"]}}`, Shows: `"nameservers":["10.1.1.1","8.8.8.8"]`},
	{Part: "examples of the documentation", Option: "tuning, sysctls", Annotation: `net`, Config: `{"cniVersion":"0.3.1","name":"net","plugins":[{"type":"macvlan","master":"up1"},{"name":"mytuning","type":"tuning","sysctl":{"net.core.somaxconn":"500","net.ipv4.conf.IFNAME.arp_filter":"1"}}]}`, Shows: "net1:[]"},
	{Part: "examples of the documentation", Option: "tuning, attributes", Annotation: `net`, Config: `{"cniVersion":"0.3.1","name":"net","plugins":[{"type":"macvlan","master":"up1"},{"name":"mytuning","type":"tuning","mac":"c2:b0:57:49:47:f1","mtu":1454,"promisc":true,"allmulti":true}]}`, Shows: `"mac":"c2:b0:57:49:47:f1"`},
	{Part: "examples of the documentation", Option: "bandwidth", Annotation: `net`, Config: `{"cniVersion":"0.3.1","name":"mynet","plugins":[{"type":"ptp","ipMasq":true,"mtu":512,"ipam":{"type":"host-local","subnet":"10.0.0.0/24"},"dns":{"nameservers":["10.1.0.1"]}},{"name":"slowdown","type":"bandwidth","ingressRate":123,"ingressBurst":456,"egressRate":123,"egressBurst":456}]}`, Shows: "net1:[10.0.0.2/24]"},
	{Part: "examples of the documentation", Option: "portmap", Annotation: `[{"name":"net","portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}]`, Config: `{"cniVersion":"0.3.1","name":"mynet","plugins":[{"type":"ptp","ipMasq":true,"ipam":{"type":"host-local","subnet":"172.16.30.0/24","routes":[{"dst":"0.0.0.0/0"}]}},{"type":"portmap","capabilities":{"portMappings":true}}]}`, Shows: "net1:[172.16.30.2/24]"},
	{Part: "examples of the documentation", Option: "firewall", Annotation: `net`, Config: `{"cniVersion":"0.3.1","name":"bridge-firewalld","plugins":[{"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":true,"ipam":{"type":"host-local","subnet":"10.88.0.0/16","routes":[{"dst":"0.0.0.0/0"}]}},{"type":"firewall"}]}`, Shows: "net1:[10.88.0.2/16]"},
	{Part: "examples of the documentation", Option: "sbr (behind macvlan)", Annotation: `net`, Config: `{"name":"flannel-sbr","cniVersion":"0.3.0","plugins":[{"type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"10.9.0.0/24"}},{"type":"sbr"}]}`, Shows: "net1:[10.9.0.2/24]"},
	{Part: "examples of the documentation", Option: "tap (its type says vlan)", Annotation: `net`, Config: `{"name":"mynet","cniVersion":"0.3.1","type":"vlan","mac":"00:11:22:33:44:55","mtu":1500,"selinuxcontext":"system_u:system_r:container_t:s0","multiQueue":true,"owner":0,"group":0}`, Want: `"master" field is required`},
	{Part: "examples of the documentation", Option: "host-local, two addresses", Annotation: `net`, Config: `{"type":"bridge","ipam":{"type":"host-local","ranges":[[{"subnet":"10.10.0.0/16","rangeStart":"10.10.1.20","rangeEnd":"10.10.3.50","gateway":"10.10.0.254"},{"subnet":"172.16.5.0/24"}],[{"subnet":"3ffe:ffff:0:01ff::/64","rangeStart":"3ffe:ffff:0:01ff::0010","rangeEnd":"3ffe:ffff:0:01ff::0020"}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"192.168.0.0/16","gw":"10.10.5.1"},{"dst":"3ffe:ffff:0:01ff::1/64"}],"dataDir":"/run/my-orchestrator/container-ipam-state"}}`, Shows: "net1:[10.10.1.20/16 3ffe:ffff:0:1ff::10/64]"},
	{Part: "examples of the documentation", Option: "host-local, older form", Annotation: `net`, Config: `{"type":"bridge","ipam":{"type":"host-local","subnet":"3ffe:ffff:0:01ff::/64","rangeStart":"3ffe:ffff:0:01ff::0010","rangeEnd":"3ffe:ffff:0:01ff::0020","routes":[{"dst":"3ffe:ffff:0:01ff::1/64"}],"resolvConf":"/etc/resolv.conf"}}`, Shows: "net1:[3ffe:ffff:0:1ff::10/64]"},
	{Part: "examples of the documentation", Option: "macvlan", Annotation: `net`, Config: `{"name":"mynet","type":"macvlan","master":"eth0","linkInContainer":false,"ipam":{"type":"dhcp"}}`, Shows: "net1:[10.20.0.", Uplink: "eth0", DHCP: true},
	{Part: "examples of the documentation", Option: "dhcp", Annotation: `net`, Config: `{"type":"macvlan","master":"up1","ipam":{"type":"dhcp","daemonSocketPath":"/run/cni/dhcp.sock","request":[{"skipDefault":false}],"provide":[{"option":"host-name","fromArg":"K8S_POD_NAME"}]}}`, Shows: "net1:[10.20.0.", DHCP: true},
	{Part: "examples of the documentation", Option: "host-device, by name", Annotation: `net`, Config: `{"cniVersion":"0.3.1","type":"host-device","device":"enp0s1"}`, Shows: `"interface":"net1"`, Uplink: "enp0s1"},
	{Part: "examples of the documentation", Option: "host-device, by PCI address (no such card)", Annotation: `net`, Config: `{"cniVersion":"0.3.1","type":"host-device","pciBusID":"0000:3d:00.1"}`, Want: "0000:3d:00.1"},
	{Part: "examples of the documentation", Option: "host-device, DPDK (no such card)", Annotation: `net`, Config: `{"cniVersion":"0.3.1","type":"host-device","runtimeConfig":{"deviceID":"0000:3d:00.2"}}`, Want: "0000:3d:00.2"},
	{Part: "examples of the documentation", Option: "dummy", Annotation: `net`, Config: `{"name":"mynet","type":"dummy","ipam":{"type":"host-local","subnet":"10.1.2.0/24"}}`, Shows: "net1:[10.1.2.2/24]", Needs: "dummy"},
	{Part: "examples of the documentation", Option: "vrf (behind macvlan)", Annotation: `net`, Config: `{"cniVersion":"0.3.1","name":"macvlan-vrf","plugins":[{"type":"macvlan","master":"eth0","ipam":{"type":"static","addresses":[{"address":"10.0.0.2/24"}]}},{"type":"vrf","vrfname":"blue"}]}`, Shows: "net1:[10.0.0.2/24]", Needs: "vrf", Uplink: "eth0"},
	{Part: "examples of the documentation", Option: "Multus, quick start", Annotation: `net`, Config: `{"cniVersion":"0.3.0","type":"macvlan","master":"eth0","mode":"bridge","ipam":{"type":"host-local","subnet":"192.168.1.0/24","rangeStart":"192.168.1.200","rangeEnd":"192.168.1.216","routes":[{"dst":"0.0.0.0/0"}],"gateway":"192.168.1.1"}}`, Shows: "net1:[192.168.1.200/24]", Uplink: "eth0"},
}

// multusCapable is multusNext whose second plugin declares a capability, "" for none.
func multusCapable(capability string) string {
	declared := ""
	if capability != "" {
		declared = `,"capabilities":{"` + capability + `":true}`
	}
	return strings.Replace(multusNext, "CAPABILITIES", declared, 1)
}

func multusOf(version string) string { return strings.Replace(multusVersion, "VERSION", version, 1) }
