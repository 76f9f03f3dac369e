package multus

import (
	"slices"
	"strings"
	"testing"
)

// What Multus' own manifests and documentation write, as flags and as words.
func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		args  []string
		notes []string // key, "lost" or "done", words
	}{
		"thin, as generated": {`{"cniVersion":"0.3.1","name":"multus-cni-network","type":"multus","capabilities":{"portMappings":true},
			"kubeconfig":"/etc/cni/net.d/multus.d/multus.kubeconfig",
			"delegates":[{"cniVersion":"0.3.1","name":"default-cni-network","plugins":[{"type":"flannel","name":"flannel.1"}]}]}`,
			[]string{"--pod-network=existing"}, []string{"delegates lost default-cni-network", "kubeconfig done service account"}},
		"shim": {`{"capabilities":{"portMappings":true},"cniVersion":"0.4.0","logLevel":"verbose","logToStderr":true,"clusterNetwork":"/host/etc/cni/net.d/10-calico.conflist","name":"multus-cni-network","type":"multus-shim","daemonSocketDir":"/run/multus"}`,
			[]string{"--pod-network=existing"}, []string{"clusterNetwork done 10-calico.conflist", "daemonSocketDir done --run-dir", "logToStderr done stderr"}},
		"daemon": {`{"chrootDir":"/hostroot","cniVersion":"0.3.1","logLevel":"debug","logToStderr":true,"cniConfigDir":"/host/etc/cni/net.d","multusAutoconfigDir":"/host/etc/cni/net.d","multusConfigFile":"auto","socketDir":"/host/run/multus/"}`,
			[]string{"--log-level=debug"}, []string{"multusConfigFile done 00-tsunagu.conflist"}},
		"all that is taken over": {`{"clusterNetwork":"calico-conf","defaultNetworks":["storage","infra/lan"],"systemNamespaces":["kube-system","kube-node-lease"],"multusNamespace":"multus",
			"namespaceIsolation":true,"globalNamespaces":"infra,shared","confDir":"/etc/cni/more.d","binDir":"/usr/libexec/cni","logLevel":"error"}`,
			[]string{"--cni-bin-dir=/usr/libexec/cni", "--cluster-network=multus/calico-conf", "--network-conf-dirs=/etc/cni/more.d,/etc/cni/net.d", "--default-networks=multus/storage,infra/lan",
				"--global-namespaces=infra,shared,default", "--log-level=error", "--default-network-namespace=multus", "--namespace-isolation", "--system-namespaces=kube-system,kube-node-lease"},
			[]string{"clusterNetwork done definition multus/calico-conf only", "systemNamespaces done namespace of a Pod"}},
		"what has no equivalent": {`{"defaultNetworks":["/etc/cni/lan.conf"],"auxiliaryCNIChainName":"vpn","perNodeCertificate":{"enabled":true},"logFile":"/var/log/multus.log","defaultNetwroks":[]}`,
			nil, []string{"auxiliaryCNIChainName lost subfolder", "defaultNetworks lost /etc/cni/lan.conf", "defaultNetwroks lost near names: defaultNetworks", "logFile lost kubectl", "perNodeCertificate lost token"}},
		"both": {`{"clusterNetwork":"a","delegates":[{"name":"b"}]}`, []string{"--cluster-network=kube-system/a"}, []string{"delegates done not read"}},
		"list": {`{"cniVersion":"1.0.0","name":"m","plugins":[{"type":"multus","namespaceIsolation":true}]}`, []string{"--namespace-isolation"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			conf, err := Parse([]byte(c.text))
			if err != nil || !slices.Equal(conf.Args, c.args) {
				t.Errorf("%q, %v", conf.Args, err)
			}
			for _, want := range c.notes {
				words := strings.SplitN(want, " ", 3)
				if !slices.ContainsFunc(conf.Notes, func(n Note) bool {
					return n.Key == words[0] && n.Lost == (words[1] == "lost") && strings.Contains(n.Text, words[2])
				}) {
					t.Errorf("no %q in %+v", want, conf.Notes)
				}
			}
		})
	}
	for _, bad := range []string{"", "[]", "{}", `{"plugins":[]}`, `{"plugins":7}`, `{"defaultNetworks":"lan"}`, `{"namespaceIsolation":"yes"}`, `{"multusNamespace":7}`} {
		if _, err := Parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), "configuration of Multus") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
