package doctor

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// fromFile tells that kubelet runs the Pod from a file, as kubeadm's control plane is.
func fromFile(p *corev1.Pod) bool { return p.Annotations["kubernetes.io/config.source"] == "file" }

var noKubeconfig = Check{
	Code:    "TSU7408",
	Title:   "static Pod of kube-vip has no kubeconfig",
	Explain: `A Pod that kubelet runs from a file has no ServiceAccount: what asks the API server by a Lease needs a kubeconfig of the node.`,
	Needs:   []Part{Pods},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pods {
			p := &s.Pods[i]
			if !fromFile(p) {
				continue
			}
			for _, c := range p.Spec.Containers {
				if !strings.Contains(c.Image, "kube-vip") || variable(c, "vip_leaderelection") != "true" || len(p.Spec.Volumes) > 0 && mountsConf(p) {
					continue
				}
				found = append(found, Finding{Severity: Error, Object: podObject(p), Cause: "container " + c.Name + " asks for a Lease, and mounts no *.conf of /etc/kubernetes",
					Breaks: "it never has the control plane's address", Fix: "mount /etc/kubernetes/admin.conf; or tsunagu vip import, whose static Pod needs none"})
			}
		}
		return found
	},
}

// mountsConf tells whether a file or folder with a kubeconfig is mounted.
func mountsConf(p *corev1.Pod) bool {
	for _, v := range p.Spec.Volumes {
		if v.HostPath != nil && (strings.HasSuffix(v.HostPath.Path, ".conf") || strings.HasSuffix(v.HostPath.Path, ".yaml") || strings.HasSuffix(v.HostPath.Path, "/kubernetes")) {
			return true
		}
	}
	return false
}

func variable(c corev1.Container, name string) string {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

var addressInPool = Check{
	Code:    "TSU7411",
	Title:   "a pool may give out the control plane's address",
	Explain: `The address that kube-vip or tsunagu-vip keeps on one of the control-plane nodes lies in a pool's ranges: the Pod that gets it answers in the API servers' place.`,
	Needs:   []Part{Pods, Pools},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		said := map[string]bool{}
		for i := range s.Pods {
			p := &s.Pods[i]
			for _, c := range p.Spec.Containers {
				for _, kept := range keeps(c) {
					for j := range s.Pools {
						pool := &s.Pools[j]
						r, err := ipam.ParsePool(*pool)
						if key := pool.Name + " " + kept.String(); err == nil && r.Contains(kept) && !said[key] {
							said[key] = true
							found = append(found, Finding{Severity: Error, Object: Object{"IPPool", "", pool.Name},
								Cause:  fmt.Sprintf("it may give out %s, which Pod %s/%s keeps for the control plane", kept, p.Namespace, p.Name),
								Breaks: "with that Pod the API server is out of reach", Fix: fmt.Sprintf("add %s to exclude", kept)})
						}
					}
				}
			}
		}
		return found
	},
}

// keeps are the addresses that a container keeps for the control plane.
func keeps(c corev1.Container) (all []netip.Addr) {
	var texts []string
	if strings.Contains(c.Image, "kube-vip") {
		texts = append(texts, variable(c, "address"), variable(c, "vip_address"))
	}
	for _, word := range append(c.Command, c.Args...) {
		if list, is := strings.CutPrefix(word, "--address="); is && c.Name == "tsunagu-vip" {
			texts = append(texts, strings.Split(list, ",")...)
		}
	}
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, a)
		}
	}
	return all
}

var noTokenKey = Check{
	Code:    "TSU7413",
	Title:   "controller manager has no key for tokens",
	Explain: `Without --service-account-private-key-file the controller manager gives ServiceAccounts no tokens of the older kind, and refuses those that ask: Pods that count on one have none.`,
	Needs:   []Part{Pods},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pods {
			p := &s.Pods[i]
			if !fromFile(p) || p.Labels["component"] != "kube-controller-manager" {
				continue
			}
			for _, c := range p.Spec.Containers {
				all := strings.Join(append(append([]string{}, c.Command...), c.Args...), " ")
				if strings.Contains(all, "kube-controller-manager") && !strings.Contains(all, "--service-account-private-key-file") {
					found = append(found, Finding{Severity: Warning, Object: podObject(p), Cause: "--service-account-private-key-file is not among its flags",
						Breaks: "Secrets of type kubernetes.io/service-account-token stay empty", Fix: "add --service-account-private-key-file=/etc/kubernetes/pki/sa.key"})
				}
			}
		}
		return found
	},
}
