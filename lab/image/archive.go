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
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
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
const layout = "5"

// Make writes one archive with all images below cache and gives its path. What
// is there already is kept: it is known by where its programs came from, how
// large they are and when they were made, since reading them takes longer than
// all else that a warm start does before machines run.
func Make(p Programs, cache string) (string, error) {
	tools := hostTools()
	from := []string{p.CoreDNS, p.Agnhost, p.Busybox}
	for _, path := range tools {
		from = append(from, path)
	}
	slices.Sort(from)
	h := sha256.New()
	fmt.Fprintln(h, layout, runtime.GOARCH)
	for _, path := range from {
		st, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("making images: %w", err)
		}
		fmt.Fprintln(h, path, st.Size(), st.ModTime().UnixNano())
	}
	out := filepath.Join(cache, "images-"+hex.EncodeToString(h.Sum(nil))[:16]+".tar")
	if now := time.Now(); os.Chtimes(out, now, now) == nil {
		return out, nil
	}
	return out, write(p, tools, out)
}

func write(p Programs, tools toolSet, out string) error {
	files := map[string][]byte{}
	for what, path := range map[string]string{"coredns": p.CoreDNS, "agnhost": p.Agnhost, "busybox": p.Busybox} {
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading the program of image %s: %w", what, err)
		}
		files[what] = b
	}
	toolLayer, err := tools.layer()
	if err != nil {
		return err
	}
	hold, err := pause(runtime.GOARCH)
	if err != nil {
		return err
	}
	applets, err := exec.Command(p.Busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("listing the applets of %s: %w", p.Busybox, err)
	}

	shell := append(base(), shellTree(files["busybox"], strings.Fields(string(applets)))...)
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	images := []content{
		{Pause, config{Entrypoint: []string{"/pause"}, User: "65535:65535"}, []tree{{file("pause", hold)}}},
		{CoreDNS, config{Entrypoint: []string{"/coredns"}}, []tree{append(base(), file("coredns", files["coredns"]))}},
		{Busybox, config{Cmd: []string{"sh"}, Env: env}, []tree{shell, toolLayer}},
		{Agnhost, config{Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}, Env: env},
			[]tree{shell, toolLayer, {file("agnhost", files["agnhost"])}}},
	}

	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	// Two labs may make it at the same time.
	f, err := os.CreateTemp(filepath.Dir(out), "images-*.making")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := writeArchive(f, images); err != nil {
		return fmt.Errorf("writing the image archive: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	prune(filepath.Dir(out))
	return os.Rename(f.Name(), out)
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

// content is one image.
type content struct {
	name   string
	config config
	layers []tree
}

// config is what of an image's configuration the lab sets; the names are those
// of the format.
type config struct {
	User       string   `json:",omitempty"`
	Env        []string `json:",omitempty"`
	Entrypoint []string `json:",omitempty"`
	Cmd        []string `json:",omitempty"`
}

// writeArchive writes what `docker save` does: a file per layer and per
// configuration, and a manifest that names them. Layers are not compressed: the
// archive never leaves the machine, and every node would unpack it again.
func writeArchive(w io.Writer, images []content) error {
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var manifest []entry
	tw := tar.NewWriter(w)
	written := map[string]bool{}
	put := func(name string, data []byte) error {
		if written[name] {
			return nil // a layer that two images share
		}
		written[name] = true
		if err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err := tw.Write(data)
		return err
	}
	for _, img := range images {
		e := entry{RepoTags: []string{img.name}}
		var diffs []string
		for _, t := range img.layers {
			var b bytes.Buffer
			if err := t.write(&b); err != nil {
				return err
			}
			sum := digest(b.Bytes())
			if err := put(sum+".tar", b.Bytes()); err != nil {
				return err
			}
			e.Layers = append(e.Layers, sum+".tar")
			diffs = append(diffs, "sha256:"+sum)
		}
		conf, err := json.Marshal(map[string]any{
			"architecture": runtime.GOARCH, "os": "linux", "config": img.config,
			"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
		})
		if err != nil {
			return err
		}
		e.Config = digest(conf) + ".json"
		if err := put(e.Config, conf); err != nil {
			return err
		}
		manifest = append(manifest, e)
	}
	index, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	if err := put("manifest.json", index); err != nil {
		return err
	}
	return tw.Close()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
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
