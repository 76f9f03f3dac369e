// Package image makes the container images a lab starts with, from programs
// that were built or are installed on the machine: no registry is asked. The
// archives are the same byte for byte for the same programs. It knows nothing
// of labs. Start at Make.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Names under which Pods find the images.
const (
	Pause   = "registry.k8s.io/pause:3.10.2"
	CoreDNS = "registry.k8s.io/coredns/coredns:v1.15.0"
	Agnhost = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"
	Busybox = "docker.io/library/busybox:1.36"
)

// Programs are the files that images are made of.
type Programs struct {
	CoreDNS string
	Agnhost string
	Busybox string // a static one
}

// layout counts changes to what Make puts where.
const layout = "4"

// Make writes one archive with all images below cache and gives its path. What
// is there already is kept.
func Make(p Programs, cache string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, layout, runtime.GOARCH)
	files := map[string][]byte{}
	tools, err := hostTools()
	if err != nil {
		return "", err
	}
	for what, path := range map[string]string{"coredns": p.CoreDNS, "agnhost": p.Agnhost, "busybox": p.Busybox} {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("reading the program of image %s: %w", what, err)
		}
		files[what] = b
	}
	for _, what := range []string{"coredns", "agnhost", "busybox"} {
		sum := sha256.Sum256(files[what])
		h.Write(sum[:])
	}
	if err := tools.write(h); err != nil {
		return "", err
	}
	out := filepath.Join(cache, "images-"+hex.EncodeToString(h.Sum(nil))[:16]+".tar")
	if now := time.Now(); os.Chtimes(out, now, now) == nil {
		return out, nil
	}
	hold, err := pause(runtime.GOARCH)
	if err != nil {
		return "", err
	}
	applets, err := exec.Command(p.Busybox, "--list").Output()
	if err != nil {
		return "", fmt.Errorf("listing the applets of %s: %w", p.Busybox, err)
	}

	pauseImage, err := make1(v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"}, tree{file("pause", hold)})
	if err != nil {
		return "", err
	}
	dnsImage, err := make1(v1.Config{Entrypoint: []string{"/coredns"}}, append(base(), file("coredns", files["coredns"])))
	if err != nil {
		return "", err
	}
	shell := append(base(), shellTree(files["busybox"], strings.Fields(string(applets)))...)
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	busyImage, err := make1(v1.Config{Cmd: []string{"sh"}, Env: env}, shell, tools)
	if err != nil {
		return "", err
	}
	agnImage, err := make1(v1.Config{Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}, Env: env},
		shell, tools, tree{file("agnhost", files["agnhost"])})
	if err != nil {
		return "", err
	}

	refs := map[name.Reference]v1.Image{}
	for ref, img := range map[string]v1.Image{Pause: pauseImage, CoreDNS: dnsImage, Busybox: busyImage, Agnhost: agnImage} {
		tag, err := name.NewTag(ref)
		if err != nil {
			return "", err
		}
		refs[tag] = img
	}
	unfinished := out + ".making"
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	f, err := os.Create(unfinished)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := tarball.MultiRefWrite(refs, f); err != nil {
		return "", fmt.Errorf("writing the image archive: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	prune(cache)
	return out, os.Rename(unfinished, out)
}

// prune removes archives that nobody used for a month.
func prune(cache string) {
	archives, _ := filepath.Glob(filepath.Join(cache, "images-*.tar"))
	for _, a := range archives {
		if st, err := os.Stat(a); err == nil && time.Since(st.ModTime()) > 30*24*time.Hour {
			_ = os.Remove(a)
		}
	}
}

// tree is the content of one layer.
type tree []entry

type entry struct {
	tar.Header
	data []byte
}

func file(path string, data []byte) entry {
	return entry{tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(data))}, data}
}

func text(path, s string) entry {
	e := file(path, []byte(s))
	e.Mode = 0o644
	return e
}

func folder(path string, mode int64) entry {
	return entry{tar.Header{Name: path + "/", Typeflag: tar.TypeDir, Mode: mode}, nil}
}

func link(path, to string) entry {
	return entry{tar.Header{Name: path, Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: to}, nil}
}

func base() tree {
	return tree{
		folder("etc", 0o755), folder("tmp", 0o1777), folder("root", 0o700), folder("var", 0o755),
		text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
		text("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
		text("etc/nsswitch.conf", "hosts: files dns\n"),
	}
}

func shellTree(busybox []byte, applets []string) tree {
	t := tree{folder("bin", 0o755), folder("sbin", 0o755), folder("usr", 0o755),
		link("usr/bin", "../bin"), link("usr/sbin", "../sbin"), file("bin/busybox", busybox)}
	for _, a := range applets {
		if a != "busybox" {
			t = append(t, link("bin/"+a, "busybox"))
		}
	}
	return t
}

// make1 makes one image of the layers. They are not compressed: the archive
// never leaves the machine, and unpacking it on every node costs time.
func make1(cfg v1.Config, layers ...tree) (v1.Image, error) {
	img := empty.Image
	var err error
	for _, t := range layers {
		var b bytes.Buffer
		if err := t.write(&b); err != nil {
			return nil, err
		}
		img, err = mutate.AppendLayers(img, static.NewLayer(b.Bytes(), types.DockerUncompressedLayer))
		if err != nil {
			return nil, err
		}
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cf = cf.DeepCopy()
	cf.Architecture, cf.OS, cf.Config = runtime.GOARCH, "linux", cfg
	return mutate.ConfigFile(img, cf)
}

func (t tree) write(w io.Writer) error {
	tw := tar.NewWriter(w)
	for _, e := range t {
		if err := tw.WriteHeader(&e.Header); err != nil {
			return err
		}
		if _, err := tw.Write(e.data); err != nil {
			return err
		}
	}
	return tw.Close()
}
