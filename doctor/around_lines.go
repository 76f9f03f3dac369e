package doctor

// Lines that others say, and that mean one thing each.
var (
	fixedAddressTaken = lineCheck("TSU7306", "fixed address that is taken",
		`host-local gives an address once. Who has it is in the file of its name under /var/lib/cni/networks on that node; the file may be of a Pod that is gone. tsunagu `+
			`names the owner in its refusal, and imports what host-local has given (tsunagu address import).`,
		Error, []string{"requested IP address", "is not available in range set"},
		"the Pod stays in ContainerCreating",
		"let the Pod that has the address go first, or ask for another; with one address let the Deployment's strategy be Recreate")

	hostLocalFull = lineCheck("TSU7312", "host-local's range is full",
		`Each node has the whole range for itself, and keeps a file for each address under /var/lib/cni/networks. Files of Pods that are gone, after a crash or a reboot, are never removed.`,
		Error, []string{"no IP addresses available in range set"},
		"Pods on that node stay in ContainerCreating",
		"remove the files whose container is gone (the file's first line; crictl ps -a), widen the range, or have the network's addresses of tsunagu, which gives back what nobody has")

	cniVersion = lineCheck("TSU7313", "plugin does not speak the configuration's version",
		`A plugin refuses a cniVersion that is newer than itself.`,
		Error, []string{"incompatible CNI versions"},
		"Pods with that network stay in ContainerCreating",
		"name a version that the message lists in the definition's cniVersion, or bring a newer plugin to the node")

	noNetAdmin = lineCheck("TSU7318", "program in a Pod may not change its addresses",
		`Interfaces of a Pod are changed by who has NET_ADMIN in it, and most Pods have not. An address that is set by hand is known to nobody, and may be given to another Pod.`,
		Warning, []string{"RTNETLINK answers: Operation not permitted"},
		"what the program wanted to set is not set",
		"ask for the address in the Pod's annotation: k8s.v1.cni.cncf.io/networks: '[{\"name\":\"net\",\"ips\":[\"10.0.0.5/24\"]}]'")

	ciliumWaits = lineCheck("TSU7405", "Cilium does not reach the API server",
		`In place of kube-proxy Cilium must reach an API server before there are Services, so its ClusterIP does not lead there.`,
		Error, []string{"Unable to contact k8s api-server"},
		"there is no Pod network on the node",
		"k8sServiceHost and k8sServicePort of its Helm chart: an address that needs no Service, such as 127.0.0.1 and the port of tsunagu-vip's proxy, 7443 (K3s: 6444)")

	certificateName = lineCheck("TSU7410", "API server's certificate is not for the address",
		`A client believes a server whose certificate has the name or address by which it was reached. The control plane's address must be in it.`,
		Error, []string{"x509: certificate is valid for", ", not "},
		"who uses that address does not reach the API",
		"kubeadm: add the address to apiServer.certSANs of the configuration, remove pki/apiserver.crt and .key, kubeadm init phase certs apiserver --config …; K3s: --tls-san. tsunagu vip check says it for a node")

	capvIndex = lineCheck("TSU7119", "network card was added before the Machine was done",
		`Cluster API's provider for vSphere counts a machine's network cards, and gives up on one that has more than its template.`,
		Warning, []string{"device spec index"},
		"the Machine does not become ready",
		"remove the card that was added by hand; tsunagu adds none before the Machine has its node")
)
