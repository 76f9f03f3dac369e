package doctor

// aroundChecks are those about what stands beside tsunagu.
func aroundChecks() []Check {
	return []Check{
		macTwice, policyNotApplied, hostLocalPerNode, nodeFilesOverlap, addressNotInRange, fixedAddressShared, pluginNotInstalled, parentNotThere, dhcpSilent,
		networkTwice, primaryAsSecond, poolOverCluster, mtuTooLarge,
		fixedAddressTaken, hostLocalFull, cniVersion, noNetAdmin, flannelTwice, notPlaced, misplaced, gated, noNodeHasAll, capvIndex, ciliumWaits, certificateName,
		leaseForbidden, superAdmin, proxyDeadlock, noKubeconfig, addressInPool, noTokenKey, arpSilenced, flannelConfig,
	}
}
