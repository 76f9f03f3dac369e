package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUnreadProxy(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       bool
	}{
		"nothing":                 {"", "", false},
		"iptables without tables": {"proc/net/ip_tables_names", "", false},
		"iptables with tables":    {"proc/net/ip_tables_names", "nat\n", true},
		"Cilium":                  {"sys/class/net/cilium_host/ifindex", "7\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if c.file != "" {
				path := filepath.Join(root, c.file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := unreadProxy(root); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
