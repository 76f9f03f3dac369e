// Package tsunagu_test holds the picture of the rooms (docs/architecture.md):
// who may import whom, who may touch the kernel, who may speak to the API
// server. Each fence says why it stands, so that a failure reads as an
// explanation. What the fences look at is in the tables at the top; habits
// that are no fences (size of files, package comments) are in tidy_test.go.
package tsunagu_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tsunagu-net/tsunagu"

// A room is a directory at the root with what is below it, and the rooms it
// may import. A package that matches no line fails: a new room needs a line
// here and in the picture.
type room struct {
	path string
	may  []string
	why  string
}

var rooms = []room{
	{"api", nil,
		"api is a promise to others: it sees nobody, so that others can import it"},
	{"reconcile", nil,
		"the loop has no domain words: a change there that needs one belongs in a room"},
	{"near", nil,
		"guesses at names have no domain words: every room may make them"},
	{"kernel", nil,
		"kernel meets the machine: it never sees an object of the API, nor a room above it"},
	{"attach/shimrpc", nil,
		"the shim is started for every Pod and must work while everything else is broken"},
	{"attach", []string{"attach", "ipam", "api", "near", "reconcile", "kernel"},
		"a domain room looks down only; attach→ipam is the one way sideways. Declare a small interface and let cmd pass it in"},
	{"ipam", []string{"api", "near", "reconcile", "kernel"},
		"a domain room looks down only. Declare a small interface and let cmd pass it in"},
	{"bgp", []string{"bgp"},
		"bgp tells routes and knows neither what they are for nor any object of the API"},
	{"overlay", []string{"bgp", "api", "reconcile", "kernel"},
		"a domain room looks down only; overlay→bgp is the one way sideways. Declare a small interface and let cmd pass it in"},
	{"node", []string{"api", "near", "reconcile", "kernel"},
		"a domain room looks down only: what a node has and what vSphere says reach it as values. Declare a small interface and let cmd pass it in"},
	{"vip", []string{"bgp", "near", "reconcile", "kernel"},
		"vip works before there is an API server and knows no object of it; the lease itself (vip/lease) looks at nothing. Declare a small interface and let cmd pass it in"},
	{"doctor", []string{"ipam", "api", "near"},
		"a check is a pure function over a snapshot: it reads neither kernel nor API server, and the command line that carries it runs on people's own machines, where there is no netlink"},
	{"kube", []string{"attach", "ipam", "overlay", "node", "api", "near", "reconcile"},
		"kube speaks to the API server for the rooms: the kernel is not its business, and cmd and doctor are above it"},
	{"deploy", nil,
		"deploy holds manifests, not behaviour"},
	{"cmd", []string{"doctor", "kube", "attach", "ipam", "bgp", "overlay", "node", "vip", "api", "near", "reconcile", "kernel", "deploy"},
		"a binary is wiring: what two binaries share belongs in a room"},
}

// A door is a group of foreign packages that only some rooms may use.
type door struct {
	what   string
	paths  []string
	only   []string
	deeply bool // also through other packages
	why    string
}

var doors = []door{
	{
		what:   "the API server",
		paths:  []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime"},
		only:   []string{"cmd", "kube"},
		deeply: true,
		why:    "only cmd and kube see client-go: every other room builds and tests without a cluster",
	},
	{
		what: "the kernel",
		paths: []string{
			"golang.org/x/sys/unix", "github.com/vishvananda/netlink", "github.com/vishvananda/netns",
			"github.com/google/nftables", "sigs.k8s.io/knftables", "github.com/cilium/ebpf",
			"github.com/mdlayher", "github.com/jsimonetti/rtnetlink",
		},
		only: []string{"kernel"},
		why:  "everything privileged is behind one door: one place to review, to fake and to fence",
	},
	{
		what:  "GoBGP",
		paths: []string{"github.com/osrg/gobgp"},
		only:  []string{"bgp/speaker"},
		why:   "one place speaks BGP, and can be told from the outside by its bytes",
	},
	{
		what:   "anything but apimachinery",
		paths:  []string{"k8s.io/api", "k8s.io/apiextensions-apiserver"},
		only:   []string{"cmd", "kube", "doctor"},
		deeply: true,
		why:    "domain rooms know their own nouns and those of api/, not Kubernetes' objects",
	},
}

// shim says what tsunagu-cni must do without, although it is in the standard
// library.
var shim = struct{ may, never []string }{
	may:   []string{module + "/cmd/tsunagu-cni", module + "/attach/shimrpc"},
	never: []string{"net/http", "crypto/tls", "encoding/gob", "text/template", "html/template", "os/exec"},
}

type goPackage struct {
	ImportPath    string
	Imports, Deps []string
	Standard      bool
	DepOnly       bool
}

// packages asks the go tool, so the fences see what the compiler sees.
func packages(t *testing.T) (own []goPackage, standard map[string]bool) {
	t.Helper()
	out, err := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports,Deps,Standard,DepOnly", "./...").Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	standard = map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("reading the list of packages: %v", err)
		}
		if p.Standard {
			standard[p.ImportPath] = true
		}
		if !p.DepOnly && p.ImportPath != module {
			own = append(own, p)
		}
	}
	if len(own) == 0 {
		t.Fatal("no packages: the fences would hold nothing")
	}
	return own, standard
}

// in tells whether an import path is one of the paths or below it.
func in(path string, paths ...string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
}

func inside(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

func TestRoomsLookDown(t *testing.T) {
	own, _ := packages(t)
	for _, p := range own {
		path, _ := inside(p.ImportPath)
		i := slices.IndexFunc(rooms, func(r room) bool { return in(path, r.path) })
		if i < 0 {
			t.Errorf("%s is in no room of the picture: add the room to fence_test.go and docs/architecture.md, or move the package", path)
			continue
		}
		r := rooms[i]
		for _, imported := range p.Imports {
			to, ours := inside(imported)
			if !ours || in(to, r.path) || in(to, r.may...) {
				continue
			}
			t.Errorf("%s imports %s.\n\t%s.", path, to, r.why)
		}
	}
}

func TestDoors(t *testing.T) {
	own, _ := packages(t)
	for _, p := range own {
		path, _ := inside(p.ImportPath)
		for _, d := range doors {
			if in(path, d.only...) {
				continue
			}
			reached := p.Imports
			if d.deeply {
				reached = p.Deps
			}
			for _, imported := range reached {
				if in(imported, d.paths...) {
					t.Errorf("%s reaches %s by %s.\n\t%s.", path, d.what, imported, d.why)
				}
			}
		}
	}
}

// The shim is the standard library and a few words, nothing else.
func TestShimIsSmall(t *testing.T) {
	own, standard := packages(t)
	found := false
	for _, p := range own {
		path, _ := inside(p.ImportPath)
		if path != "cmd/tsunagu-cni" && path != "attach/shimrpc" {
			continue
		}
		found = true
		for _, dep := range p.Deps {
			switch {
			case in(dep, shim.never...):
				t.Errorf("%s needs %s: the shim is started for every Pod, and that costs start-up time and memory", path, dep)
			case !standard[dep] && !in(dep, shim.may...):
				t.Errorf("%s needs %s: the shim uses the standard library and attach/shimrpc only, so that it starts in a few ms and works while all else is broken", path, dep)
			}
		}
	}
	if !found {
		t.Error("neither cmd/tsunagu-cni nor attach/shimrpc exists: this fence holds nothing")
	}
}

// api is imported by others, so it must not bring more than apimachinery.
func TestAPIIsLight(t *testing.T) {
	own, standard := packages(t)
	for _, p := range own {
		if path, _ := inside(p.ImportPath); !in(path, "api") {
			continue
		}
		for _, imported := range p.Imports {
			if !standard[imported] && !in(imported, "k8s.io/apimachinery") {
				t.Errorf("%s imports %s: types that others import bring apimachinery and nothing else", p.ImportPath, imported)
			}
		}
	}
}

// People carry the command line to machines that are no nodes, where netlink
// and namespaces do not exist and do not compile.
func TestCommandLineTravels(t *testing.T) {
	own, _ := packages(t)
	for _, p := range own {
		if path, _ := inside(p.ImportPath); path != "cmd/tsunagu" {
			continue
		}
		for _, dep := range p.Deps {
			if to, _ := inside(dep); in(to, "kernel", "attach", "overlay") || in(dep, "github.com/vishvananda/netlink", "github.com/google/nftables") {
				t.Errorf("cmd/tsunagu reaches %s, which is for Linux nodes only: it reads clusters by kube/snapshot and judges them by doctor", dep)
			}
		}
	}
}

// The agent is on every node, so what it carries costs on every node.
func TestAgentIsLean(t *testing.T) {
	own, _ := packages(t)
	for _, p := range own {
		if path, _ := inside(p.ImportPath); path != "cmd/tsunagu-agent" {
			continue
		}
		for _, dep := range p.Deps {
			if in(dep, "sigs.k8s.io/controller-runtime", "k8s.io/client-go/kubernetes", "github.com/spf13/cobra") {
				t.Errorf("cmd/tsunagu-agent reaches %s: it registers every type of Kubernetes or does what an agent has no use for, in memory of every node", dep)
			}
		}
	}
}
