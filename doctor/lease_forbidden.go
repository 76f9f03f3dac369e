package doctor

var leaseForbidden = lineCheck("TSU7401", "kube-vip may not take its lease",
	`From Kubernetes 1.29 on admin.conf has no rights until kubeadm has finished; super-admin.conf has them, and is only on the node that ran kubeadm init.`,
	Error, []string{"leases.coordination.k8s.io", "plndr-cp-lock", "is forbidden"},
	"nobody has the control plane's address, and kubeadm init does not end",
	"tsunagu vip manifest writes a static Pod that needs no lease; or use super-admin.conf on the first node during init only")
