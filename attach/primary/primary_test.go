package primary

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/install"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const calico = `{"name":"k8s-pod-network","cniVersion":"0.3.1","plugins":[{"type":"calico"},{"type":"portmap","capabilities":{"portMappings":true,"none":false}},{"type":"bandwidth","capabilities":{"bandwidth":true}}]}`

func TestFollowerFollows(t *testing.T) {
	dir := t.TempDir()
	var told []string
	f := Follow(dir, func(c Conf) { told = append(told, c.Name) }, slog.New(slog.DiscardHandler))
	if _, err := f.Conf(); err == nil || !strings.Contains(err.Error(), "there is no configuration in "+dir) {
		t.Errorf("an empty folder: %v", err)
	}
	write(t, dir, install.ConfName, string(install.Conf("/run/x.sock", nil)))
	write(t, dir, "00-multus.conf", `{"name":"multus-cni-network","type":"multus"}`)
	write(t, dir, "05-half.conflist", `{"name":"half","plug`)
	write(t, dir, "10-calico.conflist.tmp", calico)
	f.Look()
	if _, err := f.Conf(); err == nil || !strings.Contains(err.Error(), "05-half.conflist (is no CNI configuration") || !strings.Contains(err.Error(), `00-multus.conf ("multus-cni-network")`) {
		t.Errorf("nothing of its own: %v", err)
	}
	write(t, dir, "10-calico.conflist", calico) // it appears late
	write(t, dir, "99-loopback.conf", `{"name":"lo","type":"loopback"}`)
	f.Look()
	f.Look()
	c, err := f.Conf()
	if err != nil || c.Name != "k8s-pod-network" || !slices.Equal(c.Capabilities, []string{"bandwidth", "portMappings"}) || filepath.Base(c.File) != "10-calico.conflist" {
		t.Errorf("got %+v, %v", c, err)
	}
	write(t, dir, "10-calico.conflist", strings.Replace(calico, "k8s-pod-network", "other", 1)) // it changes
	f.Look()
	if err := os.Remove(filepath.Join(dir, "10-calico.conflist")); err != nil {
		t.Fatal(err)
	}
	f.Look()
	if want := []string{"k8s-pod-network", "other", "lo"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{calico, `{"name":"x","type":"bridge"}`, `{"plugins":[null]}`, `[]`, "null", "{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]byte(text))
		if err == nil && (c.Name == "" || c.first() == "") {
			t.Errorf("%q: %+v is no configuration", text, c)
		}
	})
}
