package doctor

import (
	"slices"
	"testing"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// The doctor runs on machines where attach does not build, so it keeps lists
// of its own; here they are held against what is carried out.
func TestListsAreThoseOfAttach(t *testing.T) {
	if want := kind.Names(); !slices.Equal(mainPlugins, want) {
		t.Errorf("the doctor knows kinds %v, attach/kind builds %v", mainPlugins, want)
	}
}

// A definition that attach accepts is no finding, and one that is a finding
// attach refuses.
func TestDefinitionsAsAttachReadsThem(t *testing.T) {
	for _, config := range []string{
		"", "{", "null", "[]", "7", `{}`, `{"plugins":[]}`, `{"plugins":null}`, `{"plugins":[null]}`, `{"plugins":{}}`, `{"type":7}`,
		`{"type":"macvlan","master":"up1"}`, `{"type":"macvlan","ipam":{}}`, `{"type":"macvlan","ipam":{"type":"tsunagu","pools":["p"]}}`,
		`{"type":"macvlan","ipam":{"type":"whereabouts","range":"10.0.0.0/24"}}`, `{"type":"macvlan","ipam":{"type":"static","addresses":[{"address":"10.0.0.1/24"}]}}`,
		`{"type":"macvlan","ipam":{"type":"host-local","subnet":"10.0.0.0/24"}}`, `{"type":"macvlan","ipam":{"type":"dhcp"}}`, `{"type":"macvlan","ipam":"x"}`,
		`{"plugins":[{"type":"bridge"},{"type":"tuning"}]}`, `{"plugins":[{"type":"bridge"},{"type":"portmap"}]}`, `{"plugins":[{"type":"bridge"},{"type":"ptp"}]}`,
		`{"type":"ptp","plugins":[{"type":"frobnicate"}]}`, `{"type":"tuning"}`, `{"type":"ipvlan"}`, `{"type":"pod"}`, `{"type":"MACVLAN"}`,
	} {
		s := &Snapshot{Definitions: []nadv1.NetworkAttachmentDefinition{definition("d", "n", config)}, Pools: []v1alpha1.IPPool{pool("p", "", "10.0.0.0/24")}}
		found := Run(s, []Check{brokenDefinition, unknownPlugin, unknownIPAM, missingPool}).Findings
		// What plugins of the node make of it is theirs to say.
		found = slices.DeleteFunc(found, func(f Finding) bool { return f.Severity != Error })
		_, err := attach.ParseDefinition(attach.Definition{Namespace: "d", Name: "n", Config: config})
		if err == nil && len(found) > 0 {
			t.Errorf("%s: attach accepts it, the doctor finds %+v", config, found)
		}
		if err != nil && len(found) == 0 {
			t.Errorf("%s: attach refuses it (%v), the doctor finds nothing", config, err)
		}
	}
}

// What attach accepts the doctor reads the same, and what the doctor calls
// broken attach refuses.
func TestSelectionsAsAttachReadsThem(t *testing.T) {
	for _, annotation := range annotations {
		sameAsAttach(t, annotation)
	}
}

func FuzzSelections(f *testing.F) {
	for _, annotation := range annotations {
		f.Add(annotation)
	}
	f.Fuzz(sameAsAttach)
}

var annotations = []string{
	"", " ", "blue", "blue,red", " blue , other/red@eth5 ", "blue@", "a/b/c", "@x", "/x", "x/", "blue,,red", "blue,", "BLUE",
	`[{"name":"blue"}]`, `[{"name":"blue","namespace":"x","interface":"eth7"}]`, `[{"name":"blue",]`, `{"name":"blue"}`, `[]`, `[null]`,
	`["blue"]`, `[{"namespace":"x"}]`, `[{"name":"a/b"}]`, `[{"name":7}]`, `[{"name":"blue","ips":["10.0.0.1"]}]`, `"blue"`, `[{"name":"blue"}] x`,
}

func sameAsAttach(t *testing.T, annotation string) {
	have, err := ParseSelections(annotation, "home")
	want, refused := attach.ParseSelections(annotation, "home")
	if err != nil {
		if refused == nil {
			t.Errorf("%q: the doctor calls it broken (%v), attach accepts it", annotation, err)
		}
		return
	}
	if refused != nil {
		return // attach says so in an Event; the doctor need not repeat every rule
	}
	if len(have) != len(want) {
		t.Errorf("%q: the doctor reads %+v, attach %+v", annotation, have, want)
		return
	}
	for i := range have {
		if have[i].Namespace != want[i].Namespace || have[i].Name != want[i].Name {
			t.Errorf("%q: the doctor reads %+v, attach %+v", annotation, have[i], want[i])
		}
	}
}
