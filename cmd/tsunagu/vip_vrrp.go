package main

import (
	"strconv"
	"time"
)

// checkVRRP refuses what tsunagu-vip would not start with.
func (m *vipManifest) checkVRRP() error {
	interval, err := time.ParseDuration(m.vrrp.Interval)
	switch {
	case m.timing != "default" || m.first != "":
		return usage("", "--timing and --first mean nothing with --mode=vrrp")
	case m.vrrp.Router < 1 || m.vrrp.Router > 255:
		return usage("--vrrp-router-id=51, as keepalived's virtual_router_id on the other nodes", "--vrrp-router-id: %d is none, use 1 to 255", m.vrrp.Router)
	case m.vrrp.Priority < 2 || m.vrrp.Priority > 254:
		return usage("", "--vrrp-priority: %d is none, use 2 to 254", m.vrrp.Priority)
	case m.vrrp.Version != 2 && m.vrrp.Version != 3:
		return usage("", "--vrrp-version: %d is neither 2 nor 3", m.vrrp.Version)
	case err != nil || interval <= 0:
		return usage("--vrrp-interval=1s", "--vrrp-interval: %q is no time", m.vrrp.Interval)
	case m.vrrp.Version == 3 && m.vrrp.Password != "":
		return usage("", "--vrrp-password: version 3 has none")
	case len(m.vrrp.Password) > 8:
		return usage("", "--vrrp-password: it has %d bytes, VRRP has room for 8", len(m.vrrp.Password))
	}
	return nil
}

func (m vipManifest) vrrpArgs() []string {
	args := []string{"--mode=vrrp", "--vrrp-router-id=" + strconv.Itoa(m.vrrp.Router), "--vrrp-priority=" + strconv.Itoa(m.vrrp.Priority),
		"--vrrp-interval=" + m.vrrp.Interval, "--vrrp-version=" + strconv.Itoa(m.vrrp.Version)}
	if m.vrrp.Password != "" {
		args = append(args, "--vrrp-password="+m.vrrp.Password)
	}
	return args
}
