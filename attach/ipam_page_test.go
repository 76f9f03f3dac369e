package attach

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/reference"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Each row gives a Pod its default network by macvlan, and is compared with the plugins macvlan and the one of its name on a node of its own.
func TestIPAMContract(t *testing.T) {
	newest, err := reference.Newest()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range ipamRows {
		t.Run(r.Plugin+"/"+r.Option, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.pools["blue"] = ipam.Pool{Name: "blue", Domain: "blue", Prefix: netip.MustParsePrefix("10.9.0.0/24")}
			n.pools["full"] = ipam.Pool{Name: "full", Domain: "full", Prefix: netip.MustParsePrefix("10.10.0.0/24"), Exclude: []ipam.Range{ipam.RangeOf(netip.MustParsePrefix("10.10.0.0/24"))}}
			own, refused := r.here(n)
			if r.Want != "" {
				if !strings.Contains(refused, r.Want) {
					t.Errorf("refused with %q, want %q", refused, r.Want)
				}
			} else if refused != "" {
				t.Fatal(refused)
			} else if all := strings.Join(own, "\n"); !strings.Contains(all, r.Shows) {
				t.Errorf("no %q in\n%s", r.Shows, all)
			}
			if r.alone() {
				return
			}
			theirs, refused := r.byReference(newMachine(t), newest)
			switch {
			case r.Want != "" && refused == "" && r.Taken == "":
				t.Errorf("the plugin takes it: %q", theirs)
			case r.Want != "" && refused != "" && r.Taken != "":
				t.Errorf("the plugin refuses it too: %s", refused)
			case r.Want == "" && refused != "":
				t.Errorf("the plugin refuses it: %s", refused)
			case r.Want == "":
				r.compare(t, own, theirs)
			}
		})
	}
}

func (r ipamRow) ifName() string {
	if r.Default {
		return "eth0"
	}
	return "net1"
}

// here has the agent do it; refused is what it says if it does not.
func (r ipamRow) here(n *node) (seen []string, refused string) {
	n.Helper()
	server := r.serve(n)
	n.definitions["default/net"] = Definition{Namespace: "default", Name: "net", Config: text(n, r.definition(n))}
	s := n.pod("web", "")
	asked := map[string]any{"name": "net", "namespace": "default"}
	if len(r.IPs) > 0 {
		asked["ips"] = r.IPs
	}
	if r.Args != "" {
		asked["cni-args"] = json.RawMessage(r.Args)
	}
	if s.pod.Networks = text(n, []any{asked}); r.Default {
		s.pod.DefaultNetwork, s.pod.Networks = s.pod.Networks, ""
	}
	n.pods[s.pod.String()] = s.pod
	if reply := s.call("ADD"); reply.code != 0 {
		if have := s.interfaces(); len(have) > 0 {
			n.Errorf("left in the Pod: %v", have)
		}
		n.clean()
		return nil, reply.failure(n).Msg
	}
	var status []struct{ DNS json.RawMessage }
	n.must(json.Unmarshal([]byte(n.status(n, "default/web")), &status))
	var dns bytes.Buffer
	n.must(json.Compact(&dns, status[len(status)-1].DNS))
	seen = append(s.layer3(r.ifName()), "dns "+dns.String())
	if r.Told != "" {
		server.heard(5*time.Second, 1, r.Told)
	}
	s.ok("CHECK")
	s.ok("DEL")
	n.clean()
	return seen, ""
}

// byReference has the plugins do it.
func (r ipamRow) byReference(n *node, dir string) (seen []string, refused string) {
	n.Helper()
	server := r.serve(n)
	if r.Plugin == "dhcp" {
		n.daemonOf(dir)
	}
	s := n.pod("web", "")
	env := s.env("ADD")
	env["CNI_PATH"], env["CNI_IFNAME"] = dir, r.ifName()
	reply := n.plugin(filepath.Join(dir, "macvlan"), env, text(n, r.executed(n)))
	if reply.code != 0 {
		return nil, reply.failure(n).Msg
	}
	var result struct{ DNS json.RawMessage }
	n.must(json.Unmarshal([]byte(reply.output), &result))
	if r.Told != "" && !r.Own {
		server.heard(5*time.Second, 1, r.Told)
	}
	var dns bytes.Buffer
	if len(result.DNS) == 0 {
		result.DNS = []byte("{}")
	}
	n.must(json.Compact(&dns, result.DNS))
	return append(s.layer3(r.ifName()), "dns "+dns.String()), ""
}

func text(n *node, v any) string {
	n.Helper()
	b, err := json.Marshal(v)
	n.must(err)
	return string(b)
}

// plugin runs one on the node.
func (n *node) plugin(path string, env map[string]string, config string) reply {
	n.Helper()
	var out bytes.Buffer
	cmd := exec.Command("nsenter", "--net="+n.ns.Path(), path)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(config), &out, os.Stderr
	_ = cmd.Run()
	return reply{cmd.ProcessState.ExitCode(), out.String(), 0}
}

// daemonOf starts the daemon that the plugin dhcp needs.
func (n *node) daemonOf(dir string) {
	n.Helper()
	socket := filepath.Join(n.dir, "dhcp.sock")
	cmd := exec.Command("nsenter", "--net="+n.ns.Path(), filepath.Join(dir, "dhcp"), "daemon", "-socketpath", socket, "-timeout", "3s", "-resendtimeout", "500ms")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.must(cmd.Start())
	n.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 500 {
		if exists(socket) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.Fatal("the plugin's daemon has no socket")
}

// serve starts the DHCP server where the row needs one.
func (r ipamRow) serve(n *node) *daemon {
	n.Helper()
	n.must(os.WriteFile(filepath.Join(n.dir, "resolv.conf"), []byte("nameserver 10.9.0.53\nsearch lan.example\noptions ndots:2\n"), 0o600))
	n.must(n.conn.Apply(link.Up("up1", n.index("up1"))))
	if r.Plugin != "dhcp" {
		return nil
	}
	conf := filepath.Join(n.dir, "dnsmasq.conf")
	n.must(os.WriteFile(conf, nil, 0o600))
	d := n.run("10.20.0.1/24", "dnsmasq", append([]string{"--keep-in-foreground", "--conf-file=" + conf, "--log-facility=-", "--log-dhcp", "--user=root", "--port=0",
		"--no-ping", "--interface=wire", "--dhcp-authoritative", "--dhcp-leasefile=" + filepath.Join(n.dir, "leases"), "--pid-file=",
		"--dhcp-range=10.20.0.50,10.20.0.50,255.255.255.0,120s"}, r.Serves...)...)
	d.heard(5*time.Second, 1, "started")
	return d
}

// section is the row's configuration of the plugin.
func (r ipamRow) section(n *node) map[string]any {
	n.Helper()
	section := map[string]any{}
	text := strings.NewReplacer("DIR", n.dir, "SOCKET", filepath.Join(n.dir, "dhcp.sock")).Replace(r.Section)
	n.must(json.Unmarshal([]byte("{"+text+"}"), &section))
	section["type"] = r.Plugin
	return section
}

// definition is what people write.
func (r ipamRow) definition(n *node) map[string]any {
	n.Helper()
	d := map[string]any{"cniVersion": "1.0.0", "name": "net", "type": "macvlan", "master": "up1", "ipam": r.section(n)}
	if len(r.IPs) > 0 {
		d["capabilities"] = map[string]bool{"ips": true}
	}
	return d
}

// executed is what a runtime makes of it, with the plugins' files in the test's folder.
func (r ipamRow) executed(n *node) map[string]any {
	n.Helper()
	d := r.definition(n)
	section := d["ipam"].(map[string]any)
	if _, given := section["dataDir"]; r.Plugin == "host-local" && !given {
		section["dataDir"] = filepath.Join(n.dir, "host-local")
	}
	if r.Plugin == "dhcp" {
		section["daemonSocketPath"] = filepath.Join(n.dir, "dhcp.sock")
	}
	if len(r.IPs) > 0 {
		d["runtimeConfig"] = map[string]any{"ips": r.IPs}
	}
	if r.Args != "" {
		d["args"] = map[string]any{"cni": json.RawMessage(r.Args)}
	}
	return d
}

// layer3 lists the addresses and routes of an interface, a line each.
func (s *sandbox) layer3(ifName string) (lines []string) {
	s.Helper()
	c, err := link.Dial(s.ns)
	s.must(err)
	defer c.Close()
	l, err := c.ByName(ifName)
	s.must(err)
	addresses, err := c.AddressesOf(l.Index)
	s.must(err)
	for _, a := range addresses {
		if !a.Prefix.Addr().IsLinkLocalUnicast() {
			lines = append(lines, "address "+a.Prefix.String())
		}
	}
	routes, err := c.RoutesOf(l.Index)
	s.must(err)
	for _, r := range routes {
		if r.Dst.Addr().IsLinkLocalUnicast() || r.Dst.Addr().IsMulticast() {
			continue
		}
		line := "route " + r.Dst.String()
		if r.Gateway.IsValid() {
			line += " via " + r.Gateway.String()
		}
		if !r.InMain() {
			line += fmt.Sprintf(" table %d", r.Table)
		}
		if r.Priority != 0 && !(r.Priority == 1024 && r.Dst.Addr().Is6()) { // the kernel's own for IPv6
			line += fmt.Sprintf(" metric %d", r.Priority)
		}
		if r.MTU != 0 || r.AdvMSS != 0 {
			line += fmt.Sprintf(" mtu %d advmss %d", r.MTU, r.AdvMSS)
		}
		if r.Scope != nil && *r.Scope != 0 {
			line += fmt.Sprintf(" scope %d", *r.Scope)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// compare tells each line that only one has.
func (r ipamRow) compare(t *testing.T, own, theirs []string) {
	t.Helper()
	only := func(whose string, some, others []string) {
		for _, line := range some {
			meant := slices.ContainsFunc(r.Differs, func(start string) bool { return strings.HasPrefix(line, start) })
			if !slices.Contains(others, line) && !meant {
				t.Errorf("%s alone: %s", whose, line)
			}
		}
	}
	only("here", own, theirs)
	only("reference", theirs, own)
}

func ipamTable() string {
	var out strings.Builder
	plugin := ""
	for _, r := range ipamRows {
		if plugin != r.Plugin {
			plugin = r.Plugin
			fmt.Fprintf(&out, "\n### ipam: %s\n\n| option | configuration | here | held against |\n|---|---|---|---|\n", plugin)
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", r.Option, r.written(), r.outcome(), r.against())
	}
	return out.String() + "\n"
}

// written is what people write, in the definition and in the Pod's annotation.
func (r ipamRow) written() string {
	text := "`{" + strings.TrimPrefix(`"type":"`+r.Plugin+`",`+r.Section, ",") + "}`"
	text = strings.NewReplacer(",}", "}", "DIR", "/run/net", "SOCKET", "/run/cni/dhcp.sock").Replace(text)
	if len(r.IPs) > 0 {
		text += ", ips `" + strings.Join(r.IPs, " ") + "`"
	}
	if r.Args != "" {
		text += ", cni-args `" + r.Args + "`"
	}
	return text
}

func (r ipamRow) outcome() string {
	switch {
	case r.Want != "":
		return "refused: " + r.Want
	case r.Told != "":
		return "works: the server hears `" + r.Told + "`"
	case r.Shows != "":
		return "works: `" + r.Shows + "`"
	}
	return "works"
}

// against is what the outcome is compared with.
func (r ipamRow) against() string {
	switch {
	case r.Own:
		return "the plugin has no such option"
	case r.alone():
		return "its documentation"
	case r.Taken != "":
		return "CNI plugins " + reference.Version + ", which take it: " + r.Taken
	case r.Want != "":
		return "CNI plugins " + reference.Version + ", which refuse it too"
	case len(r.Differs) > 0:
		return "CNI plugins " + reference.Version + ", but for `" + strings.Join(r.Differs, "`, `") + "`"
	}
	return "CNI plugins " + reference.Version + ", addresses, routes and DNS"
}
