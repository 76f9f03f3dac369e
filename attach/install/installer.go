package install

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Places are the folders and files an Installer works with, as the agent sees
// them.
type Places struct {
	// Shim is the shim's binary to copy, in the agent's own image.
	Shim string
	// BinDir is the runtime's plugin folder, usually /opt/cni/bin.
	BinDir string
	// ConfDir is the runtime's configuration folder, usually /etc/cni/net.d.
	ConfDir string
	// Socket is where the agent listens, as the shim sees it.
	Socket string
	// IPAM are the IPAM plugins that the shim stands for besides (IPAMNames).
	IPAM []string
}

// Installer changes a node's CNI files. Its methods may be called at the same
// time; each may be repeated.
type Installer struct {
	places Places
	log    *slog.Logger

	mu     sync.Mutex
	more   []string // capabilities to declare
	want   Want
	shadow string // as last reported
	// read is the shim as it was when last read, readShim what was in it: it
	// is read again when it looks different, not every second.
	read     os.FileInfo
	readShim []byte
}

// New returns an Installer that has not done anything yet.
func New(p Places, log *slog.Logger) *Installer {
	return &Installer{places: p, log: log}
}

// Install puts the shim in its place. An older configuration that is already
// there stays, so the runtime goes on calling us.
func (i *Installer) Install() error {
	shim, err := os.ReadFile(i.places.Shim)
	if err != nil {
		return Failure{Doing: "read the shim from the agent's image", Cause: err, Fix: "use an image built by make image, or say where the shim is"}
	}
	return i.reach(func(w *Want) { w.Shim, w.IPAM = shim, i.places.IPAM })
}

// Publish puts the configuration in its place: from then on the runtime calls
// us, and the node becomes Ready. Call it when the agent can serve.
func (i *Installer) Publish() error {
	return i.reach(func(w *Want) { w.Conf = Conf(i.places.Socket, i.more) })
}

// Declare says which capabilities the configuration has besides portMappings.
func (i *Installer) Declare(capabilities []string) error {
	i.mu.Lock()
	i.more = capabilities
	published := i.want.Conf != nil
	i.mu.Unlock()
	if !published {
		return nil
	}
	return i.Publish()
}

// Remove takes configuration and shim away, and puts back a foreign file that
// had the configuration's name. Nothing is installed again after it.
func (i *Installer) Remove() error {
	return i.reach(func(w *Want) { *w = Want{Gone: true} })
}

// reach changes what is wanted and makes it so. A wish is remembered also when
// it could not be carried out, for Keep to try again.
func (i *Installer) reach(change func(*Want)) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.want.Gone {
		change(&i.want)
	}
	_, err := i.settle()
	return err
}

// settle observes, plans and applies; it returns what it did.
func (i *Installer) settle() ([]Step, error) {
	have, err := i.observe()
	if err != nil {
		return nil, err
	}
	i.reportShadow(have.Confs)
	steps := Plan(have, i.want)
	for n, s := range steps {
		if err := i.apply(s, have); err != nil {
			return steps[:n], err
		}
		i.log.Info("CNI files: "+string(s.Verb), "path", i.path(s))
	}
	return steps, nil
}

func (i *Installer) observe() (Have, error) {
	var have Have
	var errs []error
	note := func(doing, dir string, err error) {
		if err != nil {
			errs = append(errs, failure(doing, dir, err))
		}
	}
	bins, litter, err := list(i.places.BinDir)
	note("list "+i.places.BinDir, i.places.BinDir, err)
	have.Litter = litter
	have.Confs, litter, err = list(i.places.ConfDir)
	note("list "+i.places.ConfDir, i.places.ConfDir, err)
	have.Litter = append(have.Litter, litter...)
	if len(errs) > 0 {
		return Have{}, errors.Join(errs...)
	}
	for _, b := range bins {
		if b == ShimName {
			info, err := os.Lstat(i.shim())
			if err != nil || !same(info, i.read) {
				i.readShim, err = contents(i.shim())
				i.read = info
			}
			if err != nil {
				i.read = nil
			}
			note("read "+i.shim(), i.places.BinDir, err)
			have.Shim = i.readShim
			if info != nil {
				have.ShimRuns = info.Mode().Perm() == 0o755
			}
		}
	}
	have.Loopback, err = whose(i.loopback())
	note("look at "+i.loopback(), i.places.BinDir, err)
	have.IPAM, have.KeptIPAM = map[string]Whose{}, map[string]bool{}
	for _, name := range IPAMNames {
		have.IPAM[name], err = whose(i.plugin(name))
		note("look at "+i.plugin(name), i.places.BinDir, err)
		have.KeptIPAM[name] = slices.Contains(bins, name+keptPlugin)
	}
	have.Conf, err = contents(i.conf())
	note("read "+i.conf(), i.places.ConfDir, err)
	have.Kept, err = contents(i.kept())
	note("read "+i.kept(), i.places.ConfDir, err)
	return have, errors.Join(errs...)
}

// same tells whether a file is unchanged.
func same(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func (i *Installer) apply(s Step, have Have) error {
	var err error
	switch s.Verb {
	case WriteShim:
		err = place(i.shim(), i.want.Shim, 0o755)
	case RemoveShim:
		err = remove(i.shim())
	case LinkLoopback:
		err = link(ShimName, i.loopback())
	case UnlinkLoopback:
		err = remove(i.loopback())
	case WriteConf:
		err = place(i.conf(), i.want.Conf, 0o644)
	case RemoveConf:
		err = remove(i.conf())
	case KeepConf:
		err = move(i.conf(), i.kept())
	case RestoreConf:
		err = move(i.kept(), i.conf())
	case RemoveFile:
		err = remove(s.Path)
	case KeepIPAM:
		err = move(i.plugin(s.Path), i.plugin(s.Path+keptPlugin))
	case LinkIPAM:
		err = link(ShimName, i.plugin(s.Path))
	case UnlinkIPAM:
		err = remove(i.plugin(s.Path))
	case RestoreIPAM:
		err = move(i.plugin(s.Path+keptPlugin), i.plugin(s.Path))
	}
	if err != nil {
		path := i.path(s)
		return failure(string(s.Verb)+" "+path, filepath.Dir(path), err)
	}
	return nil
}

// path is the file that a step changes.
func (i *Installer) path(s Step) string {
	switch s.Verb {
	case WriteShim, RemoveShim:
		return i.shim()
	case LinkLoopback, UnlinkLoopback:
		return i.loopback()
	case RemoveFile:
		return s.Path
	case KeepIPAM, LinkIPAM, UnlinkIPAM, RestoreIPAM:
		return i.plugin(s.Path)
	default:
		return i.conf()
	}
}

// reportShadow says once, loudly, that the runtime does not use our file.
func (i *Installer) reportShadow(confs []string) {
	if i.want.Conf == nil {
		return
	}
	by := Shadow(confs)
	if by != "" && by != i.shadow {
		i.log.Error("the container runtime does not call tsunagu: another CNI configuration sorts first",
			"used", filepath.Join(i.places.ConfDir, by), "ours", i.conf(),
			"fix", "remove or rename it; if another CNI writes it, uninstall that first")
	}
	i.shadow = by
}

// keptPlugin ends the name of a plugin that was put aside.
const keptPlugin = ".before-tsunagu"

func (i *Installer) plugin(name string) string { return filepath.Join(i.places.BinDir, name) }

func (i *Installer) shim() string     { return filepath.Join(i.places.BinDir, ShimName) }
func (i *Installer) loopback() string { return filepath.Join(i.places.BinDir, loopbackName) }
func (i *Installer) conf() string     { return filepath.Join(i.places.ConfDir, ConfName) }
func (i *Installer) kept() string     { return filepath.Join(i.places.ConfDir, keptName) }
