package doctor

// aroundChecks are those about what stands beside tsunagu.
func aroundChecks() []Check {
	return []Check{
		policyNotApplied, hostLocalPerNode, nodeFilesOverlap, addressNotInRange, fixedAddressShared, pluginNotInstalled, parentNotThere, dhcpSilent,
		leaseForbidden, superAdmin, proxyDeadlock, arpSilenced, flannelConfig,
	}
}
