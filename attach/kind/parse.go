package kind

import "slices"

// Known tells whether a CNI plugin type is built in.
func Known(typ string) bool { return typ == "pod" || slices.Contains(Names(), typ) }

// Names lists the built-in types that a network's configuration may name, in order. "pod" is not one of them: it is the pod network's own.
func Names() []string {
	return []string{"bridge", "dummy", "host-device", "ipvlan", "loopback", "macvlan", "ovs", "ptp", "sriov", "tap", "trunk", "vlan"}
}

// Parse reads the configuration of one plugin. Errors are Refusals: UnknownKind, BadConfig, Unsupported.
//
// Keys of CNI itself (name, ipam, capabilities …) belong to the caller and are passed over. Keys nobody knows are ignored as the
// reference plugins do, and Spec.Warnings names them.
func Parse(typ string, raw []byte) (Spec, error) {
	if !Known(typ) {
		return nil, UnknownKind{Type: typ}
	}
	f, err := readFields(typ, raw)
	if err != nil {
		return nil, err
	}
	var spec Spec
	switch typ {
	case "bridge":
		spec, err = parseBridge(f)
	case "dummy":
		spec, err = parseDummy(f)
	case "host-device":
		spec, err = parseHostDevice(f)
	case "ipvlan":
		spec, err = parseIPVLAN(f)
	case "loopback":
		spec, err = parseLoopback(f)
	case "macvlan":
		spec, err = parseMacvlan(f)
	case "ovs":
		spec, err = parseOVS(f)
	case "pod":
		spec, err = parsePod(f)
	case "ptp":
		spec, err = parsePTP(f)
	case "sriov":
		spec, err = parseSRIOV(f)
	case "tap":
		spec, err = parseTap(f)
	case "trunk":
		spec, err = parseTrunk(f)
	case "vlan":
		spec, err = parseVLAN(f)
	}
	if err != nil {
		return nil, err
	}
	return spec, nil
}
