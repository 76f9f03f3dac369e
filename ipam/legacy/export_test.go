package legacy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Networks of every shape: with and without network_name, both families,
// overlapping ranges, sliced by node, without reservations.
const shapes = `
apiVersion: whereabouts.cni.cncf.io/v1alpha1
kind: NodeSlicePool
metadata: {name: fast, namespace: kube-system}
spec: {range: 10.7.0.0/24, sliceSize: /26}
status:
  allocations:
  - {nodeName: worker-a-1, sliceRange: 10.7.0.0/26}
  - {nodeName: worker-a-2, sliceRange: 10.7.0.64/26}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: lan, namespace: demo}
spec: {config: '{"name":"lan","type":"macvlan","ipam":{"type":"whereabouts","range":"192.168.2.0/24","ipRanges":[{"range":"fd00:10::/64"}]}}'}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: wide, namespace: demo}
spec: {config: '{"name":"wide","type":"macvlan","ipam":{"type":"whereabouts","range":"192.168.0.0/16"}}'}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: blue, namespace: demo}
spec: {config: '{"name":"blue","type":"bridge","ipam":{"type":"whereabouts","range":"192.168.2.9-192.168.2.99/24","network_name":"blue-green","ipRanges":[{"range":"fd00:10::/120"}]}}'}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: fast, namespace: demo}
spec: {config: '{"name":"fast","type":"macvlan","ipam":{"type":"whereabouts","range":"10.7.0.0/24","network_name":"fast","node_slice_size":"/26"}}'}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: alone, namespace: demo}
spec: {config: '{"name":"alone","type":"macvlan","ipam":{"type":"whereabouts","range":"10.9.0.0/24","network_name":"alone","enable_overlapping_ranges":false}}'}`

// What is written is read as it was, with nothing to be said about it.
func TestImportOfExportIsTheSame(t *testing.T) {
	w := parse(t, shapes)
	places := []struct{ domain, text string }{
		{"default", "192.168.2.0/24"}, {"default", "192.168.0.0/16"}, {"default", "fd00:10::/64"},
		{"blue-green", "192.168.2.0/24"}, {"blue-green", "fd00:10::/120"}, {"fast", "10.7.0.0/26"}, {"fast", "10.7.0.64/26"}, {"alone", "10.9.0.0/24"},
	}
	rapid.Check(t, func(t *rapid.T) {
		var records []Record
		have := map[spot]bool{}
		for i := range rapid.IntRange(0, 30).Draw(t, "records") {
			place := rapid.SampledFrom(places).Draw(t, "range")
			base := netip.MustParsePrefix(place.text)
			offset := rapid.Uint64Range(1, 1<<min(base.Addr().BitLen()-base.Bits(), 63)-2).Draw(t, "offset")
			a, _ := plus(base.Addr(), offset)
			if at := (spot{place.domain, a}); have[at] {
				continue
			} else {
				have[at] = true
			}
			records = append(records, Record{Domain: place.domain, Address: a, Range: place.text, Namespace: "demo", Pod: fmt.Sprintf("pod-%d", i),
				ContainerID: rapid.SampledFrom([]string{"", fmt.Sprintf("c%d", i)}).Draw(t, "container"), IfName: "net1"})
		}
		out := Export(records, w.Definitions, w.Slices, "kube-system")
		if len(out.Problems) > 0 {
			t.Fatalf("not written: %+v", out.Problems)
		}
		back := w
		back.Pools, back.Reservations = out.Pools, out.Reservations
		found := back.Read()
		if len(found.Problems) > 0 {
			t.Fatalf("read back with problems: %v", found)
		}
		slices.SortFunc(records, func(a, b Record) int {
			return cmp.Or(strings.Compare(a.Domain, b.Domain), a.Address.Compare(b.Address))
		})
		for i := range found.Records {
			found.Records[i].Source, found.Records[i].Origin = "", ""
		}
		if !slices.Equal(found.Records, records) {
			t.Fatalf("wrote %v, read %v", Found{Records: records}, found)
		}
	})
}

func TestExportSaysWhatItCannotWrite(t *testing.T) {
	w := parse(t, shapes)
	for _, c := range []struct{ domain, address, text, want string }{
		{"default", "10.1.0.1", "10.1.0.0/24", "no NetworkAttachmentDefinition"},
		{"fast", "10.7.0.200", "10.7.0.0/24", "no NodeSlicePool fast"},
		{"default", "fd00:10::ffff:0:0:1", "fd00:10::/64", "counts to 2^63"},
		{"default", "192.168.2.1", "nonsense", `its range "nonsense"`},
	} {
		out := Export([]Record{{Domain: c.domain, Address: netip.MustParseAddr(c.address), Range: c.text, Namespace: "demo", Pod: "p"}}, w.Definitions, w.Slices, "x")
		if len(out.Pools)+len(out.Reservations) > 0 || len(out.Problems) != 1 || !out.Problems[0].Lost || !strings.Contains(out.Problems[0].Message, c.want) {
			t.Errorf("%s: wrote %v, said %v, want %q", c.address, out.Pools, out.Problems, c.want)
		}
	}
}

// Two Pods with one address are both seen, and only one is written.
func TestInUse(t *testing.T) {
	w := parse(t, shapes)
	silent, ended := pod("silent", "n1"), pod("ended", "n1", on("net1", "demo/lan", "192.168.2.7"))
	silent.Unsaid, ended.Finished = true, true
	world := worldOf(w, silent, ended,
		pod("a", "n1", on("net1", "demo/lan", "192.168.2.5", "fd00:10::5"), on("net2", "demo/blue", "192.168.2.5")),
		pod("b", "n2", on("net1", "demo/lan", "192.168.2.5")),
		pod("c", "n2", on("net1", "demo/lan", "172.16.0.1"))) // by hand
	world.Bound = []ipam.Address{{Domain: "default", Address: netip.MustParseAddr("fd00:10::5"), Owner: ipam.Owner{Key: ipam.Key{ContainerID: "c5"}, UID: "uid-a"}}}
	found := InUse(world)
	var have []string
	for _, r := range found.Records {
		have = append(have, r.Domain+" "+r.Address.String()+" "+r.owner()+" "+r.ContainerID)
	}
	want := []string{"blue-green 192.168.2.5 demo/a (net2) ", "default 192.168.2.5 demo/a (net1) ", "default 192.168.2.5 demo/b (net1) ", "default fd00:10::5 demo/a (net1) c5"}
	if !slices.Equal(have, want) {
		t.Errorf("have %q, want %q", have, want)
	}
	if len(found.Problems) != 1 || !strings.Contains(found.Problems[0].Source, "demo/silent") {
		t.Errorf("problems %+v, want one of the silent Pod", found.Problems)
	}
	out := Export(found.Records, w.Definitions, w.Slices, "kube-system")
	if len(out.Problems) != 1 || !strings.Contains(out.Problems[0].Message, "demo/a has it too") {
		t.Errorf("the duplicate: %+v", out.Problems)
	}
}
