package vsphere

import (
	"fmt"

	"github.com/vmware/govmomi/vim25/types"
)

// Policy is what a port group lets machines do with MAC addresses that are not their card's.
type Policy struct {
	// Known is false where the rules are not visible, as with NSX; then nothing is held against the port group.
	Known bool
	// Promiscuous ports get frames for all addresses, Learning ones those for addresses that sent from there.
	Promiscuous, Learning bool
	// Forged frames from other addresses than the card's may leave; MACChanges is the guest's changing the card's own.
	Forged, MACChanges bool
}

// Allows tells whether Pods with MAC addresses of their own reach others through it: their frames may leave, and the answers come back. The
// refusal says which settings to change.
func (p Policy) Allows(portGroup string) error {
	switch {
	case !p.Known, p.Forged && (p.Promiscuous || p.Learning):
		return nil
	case !p.Forged && !p.Promiscuous && !p.Learning:
		return policyRefusal(portGroup, "drops frames from the MAC addresses of Pods, and those to them", "set Forged transmits to Accept and enable MAC learning (or promiscuous mode)")
	case !p.Forged:
		return policyRefusal(portGroup, "drops frames from the MAC addresses of Pods", "set Forged transmits to Accept")
	}
	return policyRefusal(portGroup, "delivers no frame to the MAC addresses of Pods: ARP requests leave, answers never come back", "enable MAC learning (or promiscuous mode)")
}

func policyRefusal(portGroup, what, fix string) error {
	return &Refusal{Reason: PolicyForbids, Message: fmt.Sprintf("port group %s %s", portGroup, what),
		Fix: fix + ", or attach Pods by ipvlan, which sends with the card's own address"}
}

// strictest is what both policies allow.
func (p Policy) strictest(o Policy) Policy {
	return Policy{Known: p.Known || o.Known, Promiscuous: p.Promiscuous && o.Promiscuous, Learning: p.Learning && o.Learning, Forged: p.Forged && o.Forged, MACChanges: p.MACChanges && o.MACChanges}
}

func yes(b *bool) bool { return b != nil && *b }

func granted(b *types.BoolPolicy) bool { return b != nil && yes(b.Value) }

// distributedPolicy reads MAC management, which vSphere Distributed Switches have from version 6.6 on, or the older security policy.
func distributedPolicy(s *types.VMwareDVSPortSetting) Policy {
	if m := s.MacManagementPolicy; m != nil {
		return Policy{Known: true, Promiscuous: yes(m.AllowPromiscuous), Forged: yes(m.ForgedTransmits), MACChanges: yes(m.MacChanges),
			Learning: m.MacLearningPolicy != nil && m.MacLearningPolicy.Enabled}
	}
	if o := s.SecurityPolicy; o != nil {
		return Policy{Known: true, Promiscuous: granted(o.AllowPromiscuous), Forged: granted(o.ForgedTransmits), MACChanges: granted(o.MacChanges)}
	}
	return Policy{}
}

// standardPolicy is the port group's, with what it inherits from its switch where it says nothing.
func standardPolicy(g types.HostPortGroup) Policy {
	own, whole := g.Spec.Policy.Security, g.ComputedPolicy.Security
	if own == nil && whole == nil {
		return Policy{}
	}
	pick := func(of func(*types.HostNetworkSecurityPolicy) *bool) bool {
		if whole != nil && of(whole) != nil {
			return *of(whole)
		}
		return own != nil && yes(of(own))
	}
	return Policy{
		Known:       true,
		Promiscuous: pick(func(s *types.HostNetworkSecurityPolicy) *bool { return s.AllowPromiscuous }),
		Forged:      pick(func(s *types.HostNetworkSecurityPolicy) *bool { return s.ForgedTransmits }),
		MACChanges:  pick(func(s *types.HostNetworkSecurityPolicy) *bool { return s.MacChanges }),
	}
}
