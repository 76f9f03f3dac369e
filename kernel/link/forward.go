package link

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Forward makes a namespace route IPv4, or IPv6. A node that forwards IPv6 stops listening to routers (accept_ra=1, kernel
// Documentation/networking/ip-sysctl.rst), so interfaces that do now are told to go on.
func Forward(ns *netns.Namespace, ipv6 bool) error {
	return ns.Do(func() error {
		if !ipv6 {
			return turnOn("ipv4/ip_forward")
		}
		if ReadHere("ipv6/conf/all/forwarding") == "1" {
			return nil
		}
		return errors.Join(keepRouters(), turnOn("ipv6/conf/all/forwarding"))
	})
}

func turnOn(path string) error {
	if ReadHere(path) == "1" {
		return nil
	}
	return WriteHere(path, "1")
}

func keepRouters() error {
	entries, err := os.ReadDir(filepath.Join(knobs, "ipv6/conf"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join("ipv6/conf", e.Name(), "accept_ra")
		if e.Name() != "all" && e.Name() != "default" && e.Name() != "lo" && ReadHere(path) == "1" {
			err = errors.Join(err, WriteHere(path, "2"))
		}
	}
	return err
}
