package legacy

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"

	"github.com/tsunagu-net/tsunagu/ipam"
)

var update = flag.Bool("update", false, "write the golden files")

// parse reads a dump as far as the tests need it.
func parse(t testing.TB, text string) Whereabouts {
	t.Helper()
	var w Whereabouts
	var object func(raw []byte, kind string)
	object = func(raw []byte, kind string) {
		var o struct {
			Kind  string
			Items []json.RawMessage
			Meta  `json:"metadata"`
			Spec  struct{ Config string }
		}
		if err := yaml.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		if o.Kind == "" {
			o.Kind = kind
		}
		for _, item := range o.Items {
			object(item, strings.TrimSuffix(o.Kind, "List"))
		}
		read := func(to any) {
			if err := yaml.Unmarshal(raw, to); err != nil {
				t.Fatal(err)
			}
		}
		switch o.Kind {
		case "IPPool":
			var p IPPool
			read(&p)
			w.Pools = append(w.Pools, p)
		case "OverlappingRangeIPReservation":
			var r Reservation
			read(&r)
			w.Reservations = append(w.Reservations, r)
		case "NodeSlicePool":
			var s SlicePool
			read(&s)
			w.Slices = append(w.Slices, s)
		case "NetworkAttachmentDefinition":
			w.Definitions = append(w.Definitions, Definition{o.Namespace, o.Name, o.Spec.Config})
		case "Node":
			w.Nodes = append(w.Nodes, o.Name)
		}
	}
	for _, document := range strings.Split(text, "\n---\n") {
		object([]byte(document), "")
	}
	return w
}

func (f Found) String() string {
	var out strings.Builder
	for _, r := range f.Records {
		fmt.Fprintf(&out, "%s %s %s container=%s range=%s from %s\n", r.Domain, r.Address, r.owner(), short(r.ContainerID), r.Range, r.Source)
	}
	for _, p := range f.Problems {
		lost := ""
		if p.Lost {
			lost = " LOST"
		}
		fmt.Fprintf(&out, "%s%s [%s] %s\n", p.Kind, lost, p.Source, p.Message)
	}
	return out.String()
}

// The golden files say what is read out of each dump.
func TestReadDumps(t *testing.T) {
	dumps, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(dumps) == 0 {
		t.Fatalf("no dumps: %v", err)
	}
	for _, name := range dumps {
		t.Run(filepath.Base(name), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			have := parse(t, string(raw)).Read().String()
			golden := strings.TrimSuffix(name, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(have), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if have != string(want) {
				t.Errorf("have\n%s\nwant\n%s", have, want)
			}
		})
	}
}

// A definition that is used unchanged goes on in the same domain.
func TestDomainsAreThoseOfTheConfiguration(t *testing.T) {
	for _, name := range []string{"", "blue", "a-b", "with.dot", "UPPER", "pods", "x--y", strings.Repeat("a", 64)} {
		section := `{"type":"whereabouts","range":"10.0.0.0/24"}`
		if name != "" {
			section = fmt.Sprintf(`{"type":"whereabouts","range":"10.0.0.0/24","network_name":%q}`, name)
		}
		c, err := ipam.ParseConfig([]byte(section))
		if err != nil {
			t.Fatal(err)
		}
		w := Whereabouts{Pools: []IPPool{{Meta: Meta{Name: strings.TrimPrefix(name+"-10.0.0.0-24", "-")}}},
			Definitions: []Definition{{"d", "n", fmt.Sprintf(`{"ipam":%s}`, section)}}}
		w.Pools[0].Spec.Range = "10.0.0.0/24"
		w.Pools[0].Spec.Allocations = map[string]Allocation{"1": {ID: "c", PodRef: "d/p"}}
		found := w.Read()
		if len(found.Records) != 1 || found.Records[0].Domain != c.AllPools()[0].Domain {
			t.Errorf("network_name %q: the configuration's domain is %s, have %v", name, c.AllPools()[0].Domain, found)
		}
	}
}

// One name of two meanings is refused, unless somebody says which it is.
func TestAmbiguousNetworkName(t *testing.T) {
	w := Whereabouts{Nodes: []string{"a"}, Definitions: []Definition{
		{"d", "one", `{"ipam":{"type":"whereabouts","range":"10.0.0.0/24","network_name":"x-a"}}`},
		{"d", "two", `{"ipam":{"type":"whereabouts","range":"10.0.0.0/22","network_name":"x","node_slice_size":"/24"}}`},
	}}
	p := IPPool{Meta: Meta{"kube-system", "x-a-10.0.0.0-24"}}
	p.Spec.Range = "10.0.0.0/24"
	p.Spec.Allocations = map[string]Allocation{"1": {ID: "c", PodRef: "d/p", IfName: "net1"}}
	w.Pools = []IPPool{p}
	found := w.Read()
	if len(found.Records) != 0 || len(found.Problems) != 1 || !strings.Contains(found.Problems[0].Message, `["x" "x-a"]`) || !found.Problems[0].Lost {
		t.Errorf("have %v", found)
	}
	w.Names = map[string]string{"kube-system/x-a-10.0.0.0-24": "x"}
	if found := w.Read(); len(found.Records) != 1 || found.Records[0].Domain != "x" {
		t.Errorf("have %v", found)
	}
}

func TestHostLocal(t *testing.T) {
	h := HostLocal{Node: "node1", Definitions: []Definition{{"demo", "lan", `{"name":"lan","type":"bridge","ipam":{"type":"host-local","subnet":"10.1.0.0/24"}}`}},
		Dir: fstest.MapFS{
			"lan/10.1.0.2":           {Data: []byte("aaaa\r\nnet1")},
			"lan/10.1.0.3":           {Data: []byte("bbbb\nnet1\n")},
			"lan/10.1.0.4":           {Data: []byte("cccc")},
			"lan/10.1.0.5":           {Data: nil},
			"lan/fd00::7":            {Data: []byte("eeee\r\nnet2")},
			"lan/last_reserved_ip.0": {Data: []byte("10.1.0.4")},
			"lan/lock":               {},
			"lan/README":             {Data: []byte("x")},
			"cbr0/10.244.1.2":        {Data: []byte("ffff\r\neth0")},
		}}
	found, err := h.Read()
	if err != nil {
		t.Fatal(err)
	}
	want := `lan 10.1.0.2 container aaaa container=aaaa range= from node1:lan/10.1.0.2
lan 10.1.0.3 container bbbb container=bbbb range= from node1:lan/10.1.0.3
lan 10.1.0.4 container cccc container=cccc range= from node1:lan/10.1.0.4
lan 10.1.0.5 nobody named container= range= from node1:lan/10.1.0.5
lan fd00::7 container eeee container=eeee range= from node1:lan/fd00::7
unknown-network [node1:cbr0] 1 addresses of network "cbr0" are not read: no NetworkAttachmentDefinition of ipam type host-local has that name
unreadable LOST [node1:lan/README] "README" is no address
unreadable [node1:lan/10.1.0.5] is empty: host-local was cut short while it wrote it
`
	if have := found.String(); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
	if found.Records[0].IfName != "net1" || found.Records[2].IfName != "" || found.Records[4].IfName != "net2" {
		t.Errorf("interfaces: %v", found.Records)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("192.168.2.0-24", "192.168.2.0/24", "5", "demo/web", "net-192.168.2.5", "net")
	f.Add("a-fd00---64", "fd00::/64", "18446744073709551615", "x", "a-fd00--5", "a")
	f.Add("n-10.0.0.4-30", "10.0.0.4-10.0.0.6/29", "-1", "/", "--", "")
	f.Add("", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, name, text, offset, ref, reservation, networkName string) {
		p := IPPool{Meta: Meta{"ns", name}}
		p.Spec.Range, p.Spec.Allocations = text, map[string]Allocation{offset: {ID: "c", PodRef: ref}}
		o := Reservation{Meta: Meta{"ns", reservation}}
		o.Spec.PodRef = ref
		config, _ := json.Marshal(map[string]any{"ipam": map[string]any{"type": "whereabouts", "range": text, "network_name": networkName}})
		found := Whereabouts{Pools: []IPPool{p}, Reservations: []Reservation{o}, Definitions: []Definition{{"d", "n", string(config)}}, Nodes: []string{networkName}}.Read()
		for _, r := range found.Records {
			if !r.Address.IsValid() || r.Domain == "" || r.Source == "" {
				t.Fatalf("a record that says nothing: %+v", r)
			}
			if base, err := netip.ParsePrefix(r.Range); err == nil && !base.Masked().Contains(r.Address) {
				t.Fatalf("%s is outside %s", r.Address, r.Range)
			}
		}
		// Each object is a record or a problem.
		if len(found.Records) < 2 && len(found.Problems) == 0 && !same(found, ref) {
			t.Fatalf("something was passed over: %v", found)
		}
		Make(found.Records, World{Pods: []Pod{{Namespace: "demo", Name: "web", Node: "n"}}})
	})
}

// same tells whether pool and reservation speak of one address of one Pod.
func same(f Found, ref string) bool {
	namespace, pod := splitRef(ref)
	return len(f.Records) == 1 && f.Records[0].Namespace == namespace && f.Records[0].Pod == pod
}
