package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/tsunagu-net/tsunagu/vip/record"
)

func (m *vipManifest) objectFlags(f *pflag.FlagSet) {
	f.StringVar(&m.object.Name, "kube-lease-name", "kube-system/plndr-cp-lock", "Lease, namespace/name, with --mode=kube-lease; the default is kube-vip's")
	f.DurationVar(&m.object.Duration, "kube-lease-duration", 5*time.Second, "after how long a node that does not renew it loses it; whole seconds")
	f.DurationVar(&m.object.Retry, "kube-lease-retry", time.Second, "time between two requests")
}

// checkObject refuses what tsunagu-vip would not start with.
func (m *vipManifest) checkObject() error {
	if m.timing != "default" || m.first != "" || m.weight != 1 || m.preempt {
		return usage("", "--timing, --first, --weight and --preempt mean nothing with --mode=kube-lease: who asks first for the Lease has it")
	}
	if err := (record.Config{Self: "node", Duration: m.object.Duration, Retry: m.object.Retry}).Check(); err != nil {
		return usage("--kube-lease-duration=5s --kube-lease-retry=1s", "--mode=kube-lease: %v", err)
	}
	return nil
}

func (m vipManifest) objectArgs() []string {
	args := []string{"--mode=kube-lease", "--kube-lease-name=" + m.object.Name}
	if m.object.Duration != 5*time.Second {
		args = append(args, "--kube-lease-duration="+m.object.Duration.String())
	}
	if m.object.Retry != time.Second {
		args = append(args, "--kube-lease-retry="+m.object.Retry.String())
	}
	return args
}

// credential is the folder with a kubeconfig whose user may write Leases of kube-system from the first second on.
func (m vipManifest) credential() string {
	switch m.kind {
	case "k3s", "daemonset":
		return "/var/lib/rancher/k3s/server"
	case "rke2":
		return "/var/lib/rancher/rke2/server"
	}
	return "/etc/kubernetes"
}
