package attach

import (
	"os"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// resolvers are those that the networks of a plan come with, by interface.
func resolvers(plan []planned) (map[string]ipam.DNS, error) {
	var all map[string]ipam.DNS
	for _, one := range plan {
		dns := one.net.IPAM.DNS
		if path := one.net.IPAM.ResolvConf; path != "" {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, refusef(ReasonBadConfig, "correct ipam.resolvConf of network-attachment-definition "+one.net.Ref+", or mount the file into the agent",
					"%s: ipam.resolvConf %s cannot be read by tsunagu-agent on this node: %v", one.where(), path, err)
			}
			dns = ipam.ParseResolvConf(string(text))
		}
		if dns.Empty() {
			continue
		}
		if all == nil {
			all = map[string]ipam.DNS{}
		}
		all[one.sel.IfName] = dns
	}
	return all, nil
}
