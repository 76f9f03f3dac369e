package primary

import (
	"encoding/json"
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

// Plugins in files of their own stand behind those of the list, unless it says that there are no more.
func TestPluginsBesideTheList(t *testing.T) {
	const inline, more = `{"type":"macvlan"}`, `,"plugins":[{"type":"macvlan"}]`
	for _, c := range []struct{ name, list, file, want string }{
		{"aggregated", `{"name":"net"` + more + `}`, `{"type":"tuning","capabilities":{"mac":true}}`, `[{"type":"macvlan"},{"type":"bandwidth"},{"type":"tuning","capabilities":{"mac":true}}]`},
		{"no inlined one", `{"name":"net"}`, `{"type":"tuning"}`, `[{"type":"bandwidth"},{"type":"tuning"}]`},
		{"alone", `{"name":"net","loadOnlyInlinedPlugins":true` + more + `}`, `{"type":"tuning"}`, `[{"type":"macvlan"}]`},
		{"alone, as text", `{"name":"net","loadOnlyInlinedPlugins":"true"` + more + `}`, `{"type":"tuning"}`, `[{"type":"macvlan"}]`},
		{"not a list", `{"name":"net","type":"macvlan"}`, `{"type":"tuning"}`, ""},
		{"broken", `{"name":"net"` + more + `}`, `{"type":`, "net/20-more.conf is no configuration of a plugin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "10-net.conflist", c.list)
			if err := os.Mkdir(filepath.Join(dir, "net"), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, dir, "net/10-first.conf", `{"type":"bandwidth"}`)
			write(t, dir, "net/20-more.conf", c.file)
			write(t, dir, "net/30-other.conflist", inline)
			got, err := Primary(dir)
			var list struct{ Plugins json.RawMessage }
			_ = json.Unmarshal([]byte(got.Text), &list)
			if err != nil && !strings.Contains(err.Error(), c.want) || err == nil && string(list.Plugins) != c.want {
				t.Errorf("got %s, %v; want %s", got.Text, err, c.want)
			}
		})
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
