package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/vip/lease"
)

func TestOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vip.yaml")
	if err := os.WriteFile(file, []byte("address: [10.0.0.100, \"fd00::100\"]\ntiming: fast\nweight: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"--config", file, "--weight", "5", "--servers", "10.0.0.1,[fd00::1]:7443"}, io.Discard)
	if err != nil || len(o.addresses) != 2 || o.timing != lease.Fast || o.weight != 5 {
		t.Errorf("%+v, %v", o, err)
	}
	if len(o.servers) != 2 || o.servers[0].String() != "10.0.0.1:6443" || o.servers[1].String() != "[fd00::1]:7443" {
		t.Errorf("servers: %v", o.servers)
	}
	for want, args := range map[string][]string{
		"nothing to do":     {},
		"is no IP address":  {"--address", "vip.example.org"},
		"nor one of yes":    {"--address", "10.0.0.1", "--first", "maybe"},
		"timing":            {"--address", "10.0.0.1", "--timing", "slow"},
		"is not understood": {"up"},
		"--config":          {"--config", file + ".not"},
	} {
		if _, err := parse(args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
	if err := os.WriteFile(file, []byte("adress: 10.0.0.100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := parse([]string{"--config", file}, io.Discard); err == nil || !strings.Contains(err.Error(), `"adress" is no flag`) {
		t.Errorf("a misspelt name: %v", err)
	}
}
