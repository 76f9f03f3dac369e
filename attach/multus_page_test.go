package attach

import (
	"bytes"
	"encoding/json"
	goflag "flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

var update = goflag.Bool("update", false, "write docs/compatibility.md instead of comparing")

// Each row of the page is carried out on a node of its own.
func TestMultusContract(t *testing.T) {
	for _, r := range multusRows {
		t.Run(r.Part+"/"+r.Option, func(t *testing.T) {
			n := newNode(t)
			n.plant("next")
			r.Config = strings.ReplaceAll(r.Config, `"DIR"`, strconv.Quote(n.dir))
			n.server.planner.namespaces = Namespaces{Isolation: r.Isolation, Global: r.Global}
			n.server.planner.clusterNetwork = r.Cluster
			namespace := "default"
			if r.Namespace != "" {
				namespace = r.Namespace
			}
			n.definitions[namespace+"/net"] = Definition{Namespace: namespace, Name: "net", Config: r.Config, Resource: r.Resource}
			if r.File != "" {
				n.must(os.MkdirAll(n.dir+"/net.d", 0o755))
				n.must(os.WriteFile(n.dir+"/net.d/10-net.conf", []byte(r.File), 0o600))
			}
			if r.DHCP {
				n.dnsmasq()
			}
			if r.Uplink != "" {
				down, index := false, n.index("up1")
				n.must(n.conn.Apply(link.Set(link.Change{Device: "up1", Index: index, Up: &down}), link.Set(link.Change{Device: "up1", Index: index, Name: r.Uplink}), link.Up(r.Uplink, index)))
			}
			n.server.planner.everyPod = r.Every
			s := n.pod("web", r.Annotation)
			s.pod.DefaultNetwork = r.Default
			n.pods[s.pod.String()] = s.pod
			devices := given{s.pod.UID + " " + r.Resource: r.Devices}
			n.server.planner.devices, n.server.Devices = devices, devices
			if r.Want != "" {
				if e := s.call("ADD").failure(t); !strings.Contains(e.Msg, r.Want) {
					t.Errorf("refused with %q, want %q", e.Msg, r.Want)
				}
				if have := s.interfaces(); len(have) > 0 {
					t.Errorf("left in the Pod: %v", have)
				}
				n.clean()
				return
			}
			if r.Needs != "" { // what it does elsewhere, the VM tier of attach/kind shows
				if first := s.call("ADD"); first.code != 0 {
					if e := first.failure(t); !strings.Contains(e.Msg, "there is no module "+r.Needs) {
						t.Errorf("refused with %q", e.Msg)
					}
					return
				}
			}
			if r.Status {
				s.ok("STATUS")
			}
			s.add()
			var status bytes.Buffer
			n.must(json.Compact(&status, []byte(n.status(t, "default/web"))))
			if seen := fmt.Sprint(s.interfaces(), status.String()); !strings.Contains(seen, r.Shows) {
				t.Errorf("no %s in %s", r.Shows, seen)
			}
			s.ok("CHECK")
			if r.Forgotten {
				delete(n.definitions, namespace+"/net")
			}
			if r.Kept {
				s.gc(fmt.Sprintf(`{"containerID":%q,"ifname":"eth0"}`, s.id))
			}
			if r.GC {
				s.gc("")
			}
			s.ok("DEL")
			if r.Told != "" {
				n.wasTold(r.Told)
			}
			n.clean()
		})
	}
}

// gc has the runtime say which attachments it has.
func (s *sandbox) gc(valid string) {
	s.Helper()
	config := fmt.Sprintf(`{"cniVersion":"1.1.0","name":"tsunagu","type":"tsunagu-cni","socket":%q,"cni.dev/valid-attachments":[%s]}`, s.socket(), valid)
	if r := callShim(s, map[string]string{"CNI_COMMAND": "GC", "CNI_PATH": "/opt/cni/bin"}, config); r.code != 0 {
		s.Fatalf("GC: %s", r.output)
	}
}

// wasTold looks for words in the calls of the fake plugin, or in their verbs.
func (n *node) wasTold(words string) {
	n.Helper()
	text, err := os.ReadFile(n.dir + "/next.calls")
	n.must(err)
	verbs, _ := n.calls("next")
	if all := strings.Join(verbs, "; "); !strings.Contains(string(text), words) && all != words && !slices.Contains(verbs, words) {
		n.Errorf("no %s in what the plugin was told: %s\n%s", words, all, text)
	}
}

// The page is made of the rows that the test runs, so it cannot say something else.
func TestCompatibilityPage(t *testing.T) {
	writePage(t, "multus", multusTable())
	writePage(t, "ipam", ipamTable())
}

// writePage compares a part of the page with what the tests say, or writes it.
func writePage(t *testing.T, part, table string) {
	t.Helper()
	const path = "../docs/compatibility.md"
	begin, end := "<!-- "+part+": made by go test ./attach -run TestCompatibilityPage -update -->\n", "<!-- end of "+part+" -->"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the part %q", path, part)
	}
	want := before + begin + table + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(page) {
		t.Errorf("%s is not what the tests say; write it anew: go test ./attach -run TestCompatibilityPage -update", path)
	}
}

// asked is what the Pod, the definition and the agent say besides its configuration.
func (r multusRow) asked() string {
	var all []string
	add := func(what, value string) {
		if value != "" {
			all = append(all, what+"`"+value+"`")
		}
	}
	add("", r.Annotation)
	add("--default-networks=", strings.Join(r.Every.Networks, ","))
	add("--default-network-namespace=", r.Every.Namespace)
	add("--system-namespaces=", strings.Join(r.Every.Except, ","))
	add("default-network ", r.Default)
	add("resourceName ", r.Resource)
	add("devices ", strings.Join(r.Devices, ","))
	add("clusterNetwork ", r.Cluster)
	if r.Isolation {
		add("", "--namespace-isolation")
	}
	add("--global-namespaces=", strings.Join(r.Global, ","))
	return strings.Join(all, ", ")
}

func multusTable() string {
	var out strings.Builder
	part := ""
	for _, r := range multusRows {
		if part != r.Part {
			part = r.Part
			fmt.Fprintf(&out, "\n### Multus: %s\n\n| option | annotation | definition | here |\n|---|---|---|---|\n", part)
		}
		config, result := r.Config, "works: `"+r.Shows+"`"
		if config == "" {
			config = r.File
		}
		if r.Told != "" {
			result = "works: the plugin is told `" + r.Told + "`"
		}
		if r.Want != "" {
			result = "refused: " + r.Want
		}
		if r.Needs != "" {
			result += "; needs " + r.Needs + " in the kernel, else refused"
		}
		fmt.Fprintf(&out, "| %s | %s | `%s` | %s |\n", r.Option, r.asked(), config, result)
	}
	return out.String() + "\n"
}
