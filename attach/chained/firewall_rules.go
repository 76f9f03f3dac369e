package chained

import (
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/kernel/iptables"
)

// Chains of the filter table. The plugin's names, so that nodes that change to tsunagu, and back, have each rule once.
const (
	forwardChain = "CNI-FORWARD"
	stage1Chain  = "CNI-ISOLATION-STAGE-1"
	stage2Chain  = "CNI-ISOLATION-STAGE-2"
)

// Rules are written as iptables-save prints them, so that one is there when a line says so.
func toForward() string {
	return `FORWARD -m comment --comment "CNI firewall plugin rules" -j ` + forwardChain
}

func toAdmin(chain string) string {
	return forwardChain + ` -m comment --comment "CNI firewall plugin admin overrides" -j ` + chain
}

// through are the rules of an address: answers to it, and what comes from it.
func through(a netip.Addr) []string {
	p := netip.PrefixFrom(a, a.BitLen()).String()
	return []string{forwardChain + " -d " + p + " -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", forwardChain + " -s " + p + " -j ACCEPT"}
}

const anyPolicy = ` -m comment --comment "CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)"`

// missing are the commands for what is not there.
func (s Firewall) missing(have []string, bridge string, own []netip.Addr) (commands []string) {
	chain := func(name string) {
		if !iptables.HasChain(have, name) {
			commands = append(commands, "-N "+name)
		}
	}
	// rule is put at the end of its chain, or at the beginning.
	rule := func(first bool, text string) {
		switch {
		case slices.Contains(have, "-A "+text):
		case first:
			commands = append(commands, "-I "+text)
		default:
			commands = append(commands, "-A "+text)
		}
	}
	chain(forwardChain)
	chain(s.Admin)
	rule(true, toForward())
	rule(true, toAdmin(s.Admin))
	for _, a := range own {
		for _, text := range through(a) {
			rule(false, text)
		}
	}
	if s.Ingress == Open {
		return commands
	}
	policy := ` -m comment --comment "CNI firewall plugin rules (ingressPolicy: ` + string(s.Ingress) + `)"`
	chain(stage1Chain)
	chain(stage2Chain)
	rule(true, "FORWARD"+anyPolicy+" -j "+stage1Chain)
	rule(true, stage1Chain+" -i "+bridge+" ! -o "+bridge+policy+" -j "+stage2Chain)
	if s.Ingress == Isolated {
		rule(true, stage1Chain+" -i "+bridge+" -o "+bridge+policy+" -j DROP")
	}
	rule(false, stage1Chain+anyPolicy+" -j RETURN")
	rule(true, stage2Chain+" -o "+bridge+anyPolicy+" -j DROP")
	rule(false, stage2Chain+anyPolicy+" -j RETURN")
	return commands
}
