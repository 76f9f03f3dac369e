package install

import (
	"bytes"
	"slices"
	"strings"
)

// keptName holds a foreign file that had our configuration's name. Its ending
// is none that runtimes load.
const keptName = ConfName + ".before"

// Want is what should be on the node.
type Want struct {
	// Shim is wanted, and is this.
	Shim []byte
	// Conf is wanted, and is this; nil before the agent can serve, when what
	// is there stays.
	Conf []byte
	// Gone means that tsunagu leaves the node: neither file is wanted.
	Gone bool
	// IPAM are names of IPAM plugins under which the shim is wanted as well, so
	// that main plugins of others take addresses of it.
	IPAM []string
}

// Have is what is on the node.
type Have struct {
	// Shim and Conf are the files' contents, nil when absent.
	Shim, Conf []byte
	// ShimRuns is false when the file is there without permission to execute.
	ShimRuns bool
	// Loopback tells whose the plugin named loopback is.
	Loopback Whose
	// IPAM tells whose each IPAM plugin is that the shim can stand for, and
	// KeptIPAM which of them were put aside.
	IPAM     map[string]Whose
	KeptIPAM map[string]bool
	// Kept is the foreign configuration put aside, nil when there is none.
	Kept []byte
	// Confs are all names in the configuration folder.
	Confs []string
	// Litter are temporary files of ours that a crash left, as full paths.
	Litter []string
}

// Whose tells whose a file is.
type Whose int

// Nobody's file is absent, Foreign ones are left alone.
const (
	Nobody Whose = iota
	OurOwn
	Foreign
)

// Verb is what a Step does.
type Verb string

// The steps of an installation. Each is one atomic change.
const (
	WriteShim  Verb = "write shim"
	RemoveShim Verb = "remove shim"
	// LinkLoopback makes the plugin that containerd and CRI-O execute for
	// every sandbox a link to the shim, where nobody has installed one.
	LinkLoopback   Verb = "link loopback plugin"
	UnlinkLoopback Verb = "remove loopback plugin"

	WriteConf   Verb = "write configuration"
	RemoveConf  Verb = "remove configuration"
	KeepConf    Verb = "put aside the file that had our name"
	RestoreConf Verb = "put back the file that had our name"
	RemoveFile  Verb = "remove litter"

	// KeepIPAM to UnlinkIPAM are about the plugin that Path names.
	KeepIPAM    Verb = "put aside the IPAM plugin"
	LinkIPAM    Verb = "link IPAM plugin to the shim"
	UnlinkIPAM  Verb = "remove the link of an IPAM plugin"
	RestoreIPAM Verb = "put back the IPAM plugin"
)

// IPAMNames are the IPAM plugins that the shim can stand for.
var IPAMNames = []string{"host-local", "static", "whereabouts"}

// Step is one change to the node's files.
type Step struct {
	Verb Verb
	// Path is set for RemoveFile, and for the IPAM verbs, which it tells the
	// name of the plugin.
	Path string
}

// Plan says how to get from have to want. Installing, the shim comes before
// the configuration that names it; leaving, it goes after it.
func Plan(have Have, want Want) []Step {
	var steps []Step
	for _, path := range have.Litter {
		steps = append(steps, Step{RemoveFile, path})
	}
	if want.Gone {
		return append(steps, leave(have)...)
	}
	if want.Shim != nil && (!bytes.Equal(have.Shim, want.Shim) || !have.ShimRuns) {
		steps = append(steps, Step{Verb: WriteShim})
	}
	if want.Shim != nil && have.Loopback == Nobody {
		steps = append(steps, Step{Verb: LinkLoopback})
	}
	steps = append(steps, standIn(have, want)...)
	if want.Conf == nil || bytes.Equal(have.Conf, want.Conf) {
		return steps
	}
	if have.Conf != nil && !Ours(have.Conf) {
		steps = append(steps, Step{Verb: KeepConf})
	}
	return append(steps, Step{Verb: WriteConf})
}

// standIn makes the shim stand for the IPAM plugins that are wanted, and puts
// back the others.
func standIn(have Have, want Want) []Step {
	var steps []Step
	for _, name := range IPAMNames {
		whose := have.IPAM[name]
		switch wanted := slices.Contains(want.IPAM, name) && want.Shim != nil; {
		case wanted && whose == Foreign:
			steps = append(steps, Step{KeepIPAM, name}, Step{LinkIPAM, name})
		case wanted && whose == Nobody:
			steps = append(steps, Step{LinkIPAM, name})
		case wanted || want.Shim == nil && !want.Gone || whose == Foreign: // not known yet what is wanted, or somebody put his own there since
		default:
			if whose == OurOwn {
				steps = append(steps, Step{UnlinkIPAM, name})
			}
			if have.KeptIPAM[name] {
				steps = append(steps, Step{RestoreIPAM, name})
			}
		}
	}
	return steps
}

func leave(have Have) []Step {
	var steps []Step
	switch {
	case have.Conf != nil && !Ours(have.Conf): // somebody put a file of his own there since: it is his
	case have.Kept != nil:
		steps = append(steps, Step{Verb: RestoreConf})
	case have.Conf != nil:
		steps = append(steps, Step{Verb: RemoveConf})
	}
	if have.Loopback == OurOwn {
		steps = append(steps, Step{Verb: UnlinkLoopback})
	}
	steps = append(steps, standIn(have, Want{Gone: true})...)
	if have.Shim != nil {
		steps = append(steps, Step{Verb: RemoveShim})
	}
	return steps
}

// Shadow returns the configuration that a runtime uses instead of ours, or "".
func Shadow(confs []string) string {
	first := ""
	for _, name := range slices.Sorted(slices.Values(confs)) {
		if loaded(name) && strings.Compare(name, ConfName) < 0 {
			first = name
			break
		}
	}
	return first
}
