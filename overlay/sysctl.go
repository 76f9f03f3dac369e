package overlay

import "path"

// sysctl is a value to set, by its path below net/.
type sysctl struct{ path, value string }

const (
	forward4    = "ipv4/ip_forward"
	forward6    = "ipv6/conf/all/forwarding"
	allRPFilter = "ipv4/conf/all/rp_filter"

	deviceRPFilter = "ipv4/conf/" + Device + "/rp_filter"
	deviceNo6      = "ipv6/conf/" + Device + "/disable_ipv6"
)

func acceptRA(name string) string { return path.Join("ipv6/conf", name, "accept_ra") }

// watched are the sysctls that decisions depend on.
func watched(interfaces6 []string) []string {
	all := []string{forward4, forward6, allRPFilter, deviceRPFilter, deviceNo6}
	for _, name := range interfaces6 {
		all = append(all, acceptRA(name))
	}
	return all
}

// sysctls makes the node a router, which is not to cost it the router advertisements it lives on: with forwarding on, the kernel
// listens to them only with accept_ra=2. What is right already is not written; writing ip_forward resets other values.
func (p *picture) sysctls() {
	set := func(path, value string) {
		if have, known := p.have.sysctls[path]; known && have != value {
			p.w.sysctls = append(p.w.sysctls, sysctl{path, value})
		}
	}
	set(forward4, "1")
	_, v6 := p.me.podCIDR(true)
	if v6 && p.have.sysctls[forward6] == "0" {
		for _, name := range p.have.interfaces6 {
			if !ofPod(name) && name != Device && p.have.sysctls[acceptRA(name)] == "1" {
				set(acceptRA(name), "2")
			}
		}
		set(forward6, "1")
	}
	if p.w.device == nil {
		return
	}
	// A device that is made in this pass has its sysctls afterwards: write them without having read them.
	fresh := !p.have.deviceFound || !p.have.device.Fits
	setOnDevice := func(path, value string) {
		if fresh {
			p.w.sysctls = append(p.w.sysctls, sysctl{path, value})
			return
		}
		set(path, value)
	}
	setOnDevice(deviceRPFilter, "0")
	if v6 {
		setOnDevice(deviceNo6, "0")
	}
	if p.have.sysctls[allRPFilter] == "1" && p.cfg.Encap == Auto {
		p.problem("net.ipv4.conf.all.rp_filter=1 drops packets from nodes that reach this one by another way than it reaches them; set it to 0 or 2")
	}
}
