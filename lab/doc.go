// Package lab is a map, it has no code. A lab is a real Kubernetes cluster of
// several nodes on one Linux machine, made without Docker, registry or virtual
// machines, to try, test and measure tsunagu in.
//
//	tsunagu-lab up                     # three nodes; install a CNI to make them Ready
//	tsunagu-lab up --cni bridge        # or with the plainest Pod network there is
//	export KUBECONFIG=$PWD/.lab/lab/kubeconfig PATH=$PWD/.lab/bin:$PATH
//	kubectl get nodes -o wide
//	tsunagu-lab exec node1 -- ip address
//	tsunagu-lab stop node1 kube-apiserver --now --for 20s
//	tsunagu-lab restart node2          # a reboot
//	tsunagu-lab unplug node3 eth0
//	tsunagu-lab down                   # removes everything, also after a crash
//
// It needs root, Go (to build Kubernetes once: some minutes, then cached), and
// from Debian containerd, runc, nftables, busybox-static and wget; up says what
// is missing.
//
// # What a lab consists of
//
//	                      machine: 127.0.0.1:<port> ─┐ (a socket handed in; no link)
//	                                                 │
//	<lab>-node1   <lab>-node2   <lab>-node3   <lab>-outside        namespaces
//	eth0 up1 up2  eth0 up1 up2  eth0 up1 up2  eth0 up1 up2
//	  │   │   │     │   │   │     │   │   │     │   │   │
//	  └───┼───┼─────┴───┼───┼─────┴───┼───┼─────┘   │   │          <lab>-switch:
//	      └───┼─────────┴───┼─────────┴───┼─────────┘   │          one bridge each
//	          └─────────────┴─────────────┴─────────────┘
//
// Each node has network, mount, host name and cgroup namespaces of its own, a
// containerd and a kubelet; node1 has the control plane, too. Its /etc, /opt,
// /var and /run are private and survive its reboot (except /run), its /sys shows
// its devices, its cgroup looks like a machine's root. Other directories are the
// host's: do not let a DaemonSet write to /usr. Process numbers are the host's.
//
// "outside" is a machine that does not belong to the cluster. It is the nodes'
// gateway and name server, has a leg on every segment, and addresses behind it
// that stand for the internet (203.0.113.10, 2001:db8:113::10,
// outside.lab.test); GET http://…:8080/clientip there says who is asking. No
// packet can leave the machine. Package plan has all addresses, and
// `tsunagu-lab status -o json` prints them.
//
// Nothing is created in the host's network namespace, no mount in its mount
// namespace but the named network namespaces below /run/netns, and of its
// settings only inotify limits are raised when they are too low (up says so).
//
// # Rooms
//
//	cluster      makes, changes, removes labs; the API for tests. Start reading at Up
//	machine      one machine out of namespaces
//	supervise    the programs of a machine: start, restart, stop, kill, pause
//	wiring       namespaces, bridges, veths
//	plan         all addresses; pure
//	pki          keys, certificates, kubeconfigs
//	build        Kubernetes and CoreDNS from pinned modules, cached
//	image        the images a lab starts with, from the programs built
//	cgroup       v2 and hybrid hosts
//	kubernetes   nested module: Kubernetes' own programs as one file
//	coredns      nested module: CoreDNS with a cluster's plugins
//	cmd/tsunagu-lab  flags → cluster
//	drive, e2e, cmd/tsunagu-demo, cmd/tsunagu-bench  users of a lab
//
// kubernetes and coredns are modules of their own so that their versions decide
// nothing about the lab's programs or each other's, and so that work on the lab
// does not make Kubernetes build again.
package lab
