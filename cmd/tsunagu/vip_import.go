package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/tsunagu-net/tsunagu/vip/legacy"
)

func (a *app) vipImport() *cobra.Command {
	m := vipManifest{timing: "default"}
	var address string
	c := &cobra.Command{
		Use: "import FILE", Short: "prints the manifest that says what kube-vip or keepalived were told", Args: cobra.ExactArgs(1),
		Long: `import reads kube-vip's manifest (a Pod or DaemonSet; environment and flags), a file of its environment (NAME=VALUE lines), or
keepalived.conf, and prints tsunagu-vip's manifest for the same. What is not taken over is noted in the manifest, with the reason.
It changes nothing. Stop the other program on all nodes before the manifest is used: two programs must not keep one address. With --mode=vrrp
tsunagu-vip speaks with keepalived, with --mode=kube-lease it agrees with kube-vip by its Lease, and the nodes change one at a time.`,
		Example: "  tsunagu vip import /etc/kubernetes/manifests/kube-vip.yaml\n  tsunagu vip import --mode kube-lease /etc/kubernetes/manifests/kube-vip.yaml\n  tsunagu vip import --mode vrrp /etc/keepalived/keepalived.conf\n  tsunagu vip import --for k3s --first 10.0.0.11 /etc/keepalived/keepalived.conf",
	}
	f := c.Flags()
	f.StringVar(&m.kind, "for", "kubeadm", strings.Join(vipKinds, "|"))
	f.StringVar(&address, "address", "", "which address, where keepalived.conf has several instances")
	f.StringVar(&m.first, "first", "", "as in vip manifest")
	f.StringVar(&m.image, "image", "ghcr.io/tsunagu-net/tsunagu:"+imageTag(), "image that has tsunagu-vip")
	f.StringVar(&m.mode, "mode", "lease", "lease, or vrrp: with it nodes change from keepalived one at a time, and back, and with kube-lease from kube-vip; kube-vip's BGP and routing table are bgp and table")
	c.RunE = func(c *cobra.Command, args []string) error {
		raw, err := os.ReadFile(args[0])
		if err != nil {
			return fmt.Errorf("read the other program's settings: %w", err)
		}
		which := netip.Addr{}
		if all, err := addresses("address", address); err != nil {
			return err
		} else if len(all) > 0 {
			which = all[0]
		}
		s, err := readLegacy(string(raw), which)
		if err != nil {
			return err
		}
		m.addresses, m.device, m.apiPort, m.notes, m.weight = s.Addresses, s.Interface, s.APIPort, s.Notes, 1
		if s.Mode != "" {
			if c.Flags().Changed("mode") && m.mode != s.Mode {
				return usage("leave --mode out", "--mode=%s: %s is for %s, where hosts do not ask for the address on a segment", m.mode, args[0], s.Mode)
			}
			m.mode, m.table, m.protocol, m.bgp = s.Mode, s.Table, s.Protocol, s.BGP
			return a.printManifest(m)
		}
		if m.mode == "kube-lease" {
			if s.Lease.Name == "" {
				return usage("use --mode=vrrp", "--mode=kube-lease: %s is keepalived's, whose nodes have no Lease", args[0])
			}
			m.object = s.Lease
			return a.printManifest(m)
		}
		if m.mode == "vrrp" {
			if s.VRRP.Router == 0 {
				return usage("use --mode=lease, the default", "--mode=vrrp: %s has no virtual_router_id", args[0])
			}
			m.vrrp, m.preempt, m.peers = s.VRRP, s.Preempt, s.Peers
			m.notes = append(m.notes, "the priority is this node's: it may differ from node to node")
			return a.printManifest(m)
		}
		m.notes = append(m.notes, s.LeaseNotes...)
		if s.Weight > 0 {
			m.weight, m.preempt = s.Weight, s.Preempt
			m.notes = append(m.notes, "the weight is this node's priority: it may differ from node to node")
		}
		if len(s.Peers) > 0 {
			m.notes = append(m.notes, "unicast_peer names the other nodes; if no more will come, --peers may list all of them, this one included")
		}
		return a.printManifest(m)
	}
	return c
}

// readLegacy recognises the file by its content.
func readLegacy(text string, which netip.Addr) (legacy.Settings, error) {
	if strings.Contains(text, "vrrp_instance") {
		return legacy.FromKeepalived(text, which)
	}
	env, err := kubeVIPManifest(text)
	if err != nil {
		return legacy.Settings{}, err
	}
	if env == nil {
		env = map[string]string{}
		for _, line := range strings.Split(text, "\n") {
			line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
			if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
				env[name] = strings.Trim(value, `"'`)
			}
		}
	}
	return legacy.FromKubeVIP(env)
}

// kubeVIPManifest finds kube-vip's container in a manifest; nil when the text is none.
func kubeVIPManifest(text string) (map[string]string, error) {
	objects := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		var o struct {
			Kind string
			Spec struct {
				corev1.PodSpec
				Template struct{ Spec corev1.PodSpec }
			}
		}
		err := objects.Decode(&o)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, nil // lines of an environment
		}
		spec := o.Spec.PodSpec
		if len(spec.Containers) == 0 {
			spec = o.Spec.Template.Spec
		}
		for _, c := range spec.Containers {
			if !strings.Contains(c.Image+c.Name, "kube-vip") {
				continue
			}
			env := legacy.KubeVIPFlags(append(c.Command, c.Args...))
			for _, e := range c.Env { // it wins over the flags
				if e.ValueFrom == nil {
					env[e.Name] = e.Value
				}
			}
			return env, nil
		}
		if o.Kind == "Pod" || o.Kind == "DaemonSet" {
			return nil, fmt.Errorf("read the manifest: no container of the %s is kube-vip", o.Kind)
		}
	}
}
