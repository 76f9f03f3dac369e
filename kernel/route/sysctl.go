package route

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Sysctls reads and writes network sysctls of one namespace, by their path below /proc/sys/net, such as "ipv4/ip_forward".
type Sysctls struct{ ns *netns.Namespace }

// SysctlsOf is for a namespace; nil is the process's own.
func SysctlsOf(ns *netns.Namespace) Sysctls { return Sysctls{ns} }

const sysctlRoot = "/proc/sys/net"

// Read returns values of all paths that exist; what the kernel does not know is missing.
func (s Sysctls) Read(paths ...string) (map[string]string, error) {
	values := make(map[string]string, len(paths))
	err := inside(s.ns, func() error {
		for _, p := range paths {
			b, err := os.ReadFile(filepath.Join(sysctlRoot, p))
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read sysctl net/%s: %w", p, err)
			}
			values[p] = strings.TrimSpace(string(b))
		}
		return nil
	})
	return values, err
}

// Write sets one value.
func (s Sysctls) Write(path, value string) error {
	return inside(s.ns, func() error {
		if err := os.WriteFile(filepath.Join(sysctlRoot, path), []byte(value), 0); err != nil {
			return fmt.Errorf("set sysctl net/%s to %s: %w", path, value, err)
		}
		return nil
	})
}

// Interfaces lists the interfaces that have sysctls of a family ("ipv4" or "ipv6"); none when the node does without it.
func (s Sysctls) Interfaces(family string) (names []string, err error) {
	err = inside(s.ns, func() error {
		entries, err := os.ReadDir(filepath.Join(sysctlRoot, family, "conf"))
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("list sysctls net/%s/conf: %w", family, err)
		}
		for _, e := range entries {
			if e.Name() != "all" && e.Name() != "default" {
				names = append(names, e.Name())
			}
		}
		return nil
	})
	return names, err
}
