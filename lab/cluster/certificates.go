package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/tsunagu-net/tsunagu/lab/pki"
)

// authorities are the lab's three roots of trust, kept in .lab/<name>/pki.
type authorities struct {
	cluster, etcd, frontProxy pki.Authority
}

func (c *Cluster) pkiDir() string { return filepath.Join(c.dir, "pki") }

func (c *Cluster) authorities() (authorities, error) {
	var a authorities
	var err error
	if a.cluster, err = pki.LoadAuthority(c.pkiDir(), "ca", "kubernetes"); err != nil {
		return a, err
	}
	if a.etcd, err = pki.LoadAuthority(c.pkiDir(), "etcd/ca", "etcd-ca"); err != nil {
		return a, err
	}
	if a.frontProxy, err = pki.LoadAuthority(c.pkiDir(), "front-proxy-ca", "front-proxy-ca"); err != nil {
		return a, err
	}
	return a, pki.WriteServiceAccountKey(c.pkiDir())
}

// nodeCertificates writes what a node shows to others, below its own etc.
func (c *Cluster) nodeCertificates(a authorities, n Node) error {
	etc := filepath.Join(c.nodeDir(n.Name), "etc", "kubernetes")
	dir := filepath.Join(etc, "pki")
	type cert struct {
		by   pki.Authority
		file string
		who  pki.Subject
	}
	node := pki.Subject{Name: "system:node:" + n.Name, Groups: []string{"system:nodes"}}
	kubelet := node
	kubelet.DNS, kubelet.Addresses = []string{n.Name}, n.IPs()
	certs := []cert{{a.cluster, "kubelet", kubelet}}
	type user struct {
		file, server string
		who          pki.Subject
	}
	api := server(c.state, n)
	users := []user{{"kubelet.conf", api, node}}
	if c.state.Options.Proxy == ProxyNFTables {
		users = append(users, user{"kube-proxy.conf", api, pki.Subject{Name: "system:kube-proxy"}})
	}
	if n.ControlPlane {
		local := append(append([]netip.Addr{}, n.IPs()...), netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback())
		names := []string{n.Name, "localhost"}
		apiserver := pki.Subject{Name: "kube-apiserver", Addresses: append(local, c.plan.APIService()...),
			DNS: append(names, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")}
		if host, _, err := net.SplitHostPort(c.state.Options.endpoint()); err == nil {
			if ip, err := netip.ParseAddr(host); err == nil {
				apiserver.Addresses = append(apiserver.Addresses, ip)
			} else {
				apiserver.DNS = append(apiserver.DNS, host)
			}
		}
		etcd := pki.Subject{Name: n.Name, DNS: names, Addresses: local}
		admins := []string{"system:masters"}
		certs = append(certs,
			cert{a.cluster, "apiserver", apiserver},
			cert{a.cluster, "apiserver-kubelet-client", pki.Subject{Name: "kube-apiserver-kubelet-client", Groups: admins}},
			cert{a.frontProxy, "front-proxy-client", pki.Subject{Name: "front-proxy-client"}},
			cert{a.etcd, "apiserver-etcd-client", pki.Subject{Name: "kube-apiserver-etcd-client"}},
			cert{a.etcd, "etcd/server", etcd},
			cert{a.etcd, "etcd/peer", etcd},
		)
		users = append(users,
			user{"admin.conf", api, pki.Subject{Name: "kubernetes-admin", Groups: admins}},
			user{"controller-manager.conf", api, pki.Subject{Name: "system:kube-controller-manager"}},
			user{"scheduler.conf", api, pki.Subject{Name: "system:kube-scheduler"}},
		)
	}
	for _, x := range certs {
		p, err := x.by.Issue(x.who)
		if err != nil {
			return err
		}
		if err := p.Write(dir, x.file); err != nil {
			return err
		}
	}
	for _, u := range users {
		p, err := a.cluster.Issue(u.who)
		if err != nil {
			return err
		}
		if err := pki.WriteKubeconfig(filepath.Join(etc, u.file), c.Name(), u.server, u.who.Name, a.cluster, p); err != nil {
			return err
		}
	}
	shared := []string{"ca.crt"}
	if n.ControlPlane {
		shared = append(shared, "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key", "sa.key", "sa.pub")
	}
	for _, f := range shared {
		if err := copyFile(filepath.Join(c.pkiDir(), f), filepath.Join(dir, f)); err != nil {
			return fmt.Errorf("giving %s its keys: %w", n.Name, err)
		}
	}
	return nil
}

// adminKubeconfig is for the host, which reaches the API on a port of its own.
func (c *Cluster) adminKubeconfig(a authorities) error {
	p, err := a.cluster.Issue(pki.Subject{Name: "kubernetes-admin", Groups: []string{"system:masters"}})
	if err != nil {
		return err
	}
	if err := p.Write(c.pkiDir(), "admin"); err != nil {
		return err
	}
	return pki.WriteKubeconfig(c.Kubeconfig(), c.Name(), c.apiURL(), "kubernetes-admin", a.cluster, p)
}

func (c *Cluster) apiURL() string { return fmt.Sprintf("https://127.0.0.1:%d", c.state.Port) }
