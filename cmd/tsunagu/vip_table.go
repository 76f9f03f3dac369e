package main

// checkTable refuses what tsunagu-vip would not start with.
func (m *vipManifest) checkTable() error {
	switch {
	case m.timing != "default" || m.first != "" || m.weight != 1 || m.preempt || m.device != "":
		return usage("", "--timing, --first, --weight, --preempt and --interface mean nothing with --mode=table: every node has the address")
	case m.table < 1 || m.table >= 253 && m.table <= 255:
		return usage("--table-id=198", "--table-id: %d is none of your own, use 1 to 252, or 256 and more", m.table)
	case m.protocol < 4 || m.protocol > 255:
		return usage("--table-protocol=248", "--table-protocol: %d is none, use 4 to 255", m.protocol)
	}
	return nil
}
