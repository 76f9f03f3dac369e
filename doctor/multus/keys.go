package multus

// keys are all that Multus 4.3 reads, of its CNI configuration, its daemon and the daemon's management of files.
var keys = map[string]func(*file, string) error{
	"clusterNetwork":     (*file).clusterNetwork,
	"delegates":          (*file).delegates,
	"defaultNetworks":    (*file).defaultNetworks,
	"systemNamespaces":   (*file).systemNamespaces,
	"multusNamespace":    (*file).namespaceOfDefinitions,
	"namespaceIsolation": (*file).isolation,
	"globalNamespaces":   (*file).global,
	"confDir":            (*file).confDir,
	"binDir":             runtimeDir("/opt/cni/bin", "cni-bin-dir"),
	"cniConfigDir":       runtimeDir("/etc/cni/net.d", "cni-conf-dir"),
	"logLevel":           (*file).logLevel,

	"cniVersion": ignored, "name": ignored, "type": ignored, "capabilities": ignored, "runtimeConfig": ignored, "prevResult": ignored,
	"dns": ignored, "ipam": ignored, "args": ignored,

	"kubeconfig":             done("the agent has a service account of its own, and the shim no credential at all"),
	"readinessindicatorfile": done("not needed: until the network that stays has its configuration, STATUS and every ADD say that it has none"),
	"retryDeleteOnError":     done("always: a DEL that a plugin refuses is told to the runtime, which repeats it"),
	"cniDir":                 done("what is kept of Pods is in --run-dir; Pods that Multus attached are taken away by it, or by the node's restart"),
	"logToStderr":            done("the agent logs to stderr, always"),
	"chrootDir":              done("--host-root is set by the manifests"),
	"socketDir":              done("the socket is in --run-dir"),
	"daemonSocketDir":        done("the socket is in --run-dir"),
	"multusConfigFile":       done("the agent writes 00-tsunagu.conflist itself"),
	"multusAutoconfigDir":    done("the agent looks at --cni-conf-dir, once a second"),
	"overrideNetworkName":    done("the name in network-status is the one of the network that stays"),
	"connectionLimit":        done("calls are bounded by the agent itself: sixteen executions of one plugin, eight Pods that are wired"),
	"logFile":                lost("there is no log file: kubectl -n tsunagu-system logs daemonset/tsunagu-agent"),
	"logOptions":             lost("there is no log file to rotate"),
	"metricsPort":            lost("metrics are at --http, under other names"),
	"enablePprof":            lost("there is no profiler in the agent"),
	"perNodeCertificate":     lost("the agent uses its service account's token, which is bound to the Pod and renewed"),
	"forceCNIVersion":        lost("the agent answers in the version that it is asked in"),
	"multusMasterCNI":        lost("the agent takes the first file of --cni-conf-dir that is not its own: rename yours so that it is the first"),
	"auxiliaryCNIChainName":  lost("plugins that chain themselves to a subfolder are not called: write them into the configuration of the network that stays"),
}

// ignored is for keys of CNI itself.
func ignored(*file, string) error { return nil }

// done and lost are for keys that are not taken over.
func done(text string) func(*file, string) error {
	return func(f *file, key string) error { f.note(key, false, "%s", text); return nil }
}

func lost(text string) func(*file, string) error {
	return func(f *file, key string) error { f.note(key, true, "%s", text); return nil }
}
