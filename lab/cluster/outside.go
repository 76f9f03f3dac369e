package cluster

import (
	"strings"

	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
)

const outsideCorefile = "/etc/coredns/Corefile"

// OutsideName is what the outside host's own name server calls it.
const OutsideName = "outside.lab.test"

// outsideComponents: a responder that tells who is asking (HTTP on 8080, UDP on
// 8081; GET /clientip, or send "clientip"), and the site's name server.
func outsideComponents(s state) []supervise.Component {
	return []supervise.Component{
		{Name: "netexec", Argv: []string{s.program("agnhost"), "netexec", "--http-port=8080", "--udp-port=8081"}},
		{Name: "coredns", Argv: []string{s.CoreDNS + "/coredns", "-conf", outsideCorefile}},
	}
}

// outsideFiles writes the name server's zone: it knows the outside host and
// says of every other name that it does not exist, since there is no internet.
func (c *Cluster) outsideFiles() error {
	var zone strings.Builder
	zone.WriteString("lab.test:53 {\n    hosts {\n")
	for _, a := range c.plan.Far() {
		zone.WriteString("        " + a.Addr().String() + " " + OutsideName + "\n")
	}
	for _, a := range c.plan.Gateway() {
		zone.WriteString("        " + a.String() + " gateway.lab.test\n")
	}
	zone.WriteString("    }\n    errors\n}\n.:53 {\n    template ANY ANY {\n        rcode NXDOMAIN\n    }\n    errors\n}\n")
	return c.writeFiles(plan.Outside, map[string]string{outsideCorefile: zone.String()})
}
