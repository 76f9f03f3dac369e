package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/tsunagu-net/tsunagu/lab/image"
	"github.com/tsunagu-net/tsunagu/lab/plan"
)

//go:embed coredns.yaml
var corednsYAML string

// objects are the documents of coredns.yaml and where the API keeps them.
var corednsPaths = []string{
	"/api/v1/namespaces/kube-system/serviceaccounts/coredns",
	"/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns",
	"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:coredns",
	"/api/v1/namespaces/kube-system/configmaps/coredns",
	"/apis/apps/v1/namespaces/kube-system/deployments/coredns",
	"/api/v1/namespaces/kube-system/services/kube-dns",
}

// dnsObjects renders the cluster's DNS, one document per path.
func dnsObjects(p plan.Plan) []string {
	families := map[plan.Family]string{
		plan.Dual: "ipFamilyPolicy: RequireDualStack", plan.IPv4: "ipFamilies: [IPv4]", plan.IPv6: "ipFamilies: [IPv6]",
	}
	ips := p.DNSService()
	text := strings.NewReplacer(
		"$IMAGE", image.CoreDNS,
		"$CLUSTER_IPS", `["`+strings.ReplaceAll(join(ips), ",", `", "`)+`"]`,
		"$CLUSTER_IP", `"`+ips[0].String()+`"`,
		"$FAMILIES", families[p.Family],
	).Replace(corednsYAML)
	return strings.Split(text, "\n---\n")
}

func (c *Cluster) applyDNS(ctx context.Context, client *api) error {
	for i, doc := range dnsObjects(c.plan) {
		if err := client.apply(ctx, corednsPaths[i], doc); err != nil {
			return fmt.Errorf("installing the cluster's DNS: %w", err)
		}
	}
	return nil
}
