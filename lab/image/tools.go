package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// handy are programs of the host that go into the images with a shell, where
// they are installed, with the libraries they need: what people (and
// Kubernetes' own tests) expect to find in a Pod when they look at a network.
// They replace busybox's own, of which wget crashes in Debian's static build;
// the shell too, since busybox's runs its own programs whatever is in PATH.
var handy = []string{
	"arping", "bash", "conntrack", "curl", "dash", "dig", "ip", "iperf3", "jq", "nc", "ncat", "ping",
	"socat", "ss", "strace", "tcpdump", "traceroute", "wget",
}

// toolSet says where the image has what: path in it, path here.
type toolSet map[string]string

// hostTools finds those of them that this machine has.
func hostTools() toolSet {
	files := toolSet{}
	for _, name := range handy {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if path, err = filepath.EvalSymlinks(path); err != nil || filepath.Base(path) == "busybox" {
			continue
		}
		libs, err := libraries(path)
		if err != nil {
			continue // a script, or not for this C library
		}
		files["bin/"+name] = path
		for _, l := range libs {
			files[strings.TrimPrefix(l, "/")] = l
		}
	}
	return files
}

// layer reads them.
func (files toolSet) layer() (tree, error) {
	var t tree
	var folders []string
	for to := range files {
		for d := filepath.Dir(to); d != "." && d != "bin"; d = filepath.Dir(d) {
			if !slices.Contains(folders, d) {
				folders = append(folders, d)
			}
		}
	}
	sort.Strings(folders)
	for _, d := range folders {
		t = append(t, folder(d, 0o755))
	}
	var order []string
	for to := range files {
		order = append(order, to)
	}
	sort.Strings(order)
	for _, to := range order {
		b, err := os.ReadFile(files[to])
		if err != nil {
			return nil, fmt.Errorf("putting %s into the images: %w", files[to], err)
		}
		t = append(t, file(to, b))
	}
	if _, ok := files["bin/dash"]; ok {
		t = append(t, link("bin/sh", "dash"))
	}
	return t, nil
}

// libraries asks the dynamic linker; a static program needs none.
func libraries(path string) ([]string, error) {
	out, err := exec.Command("ldd", path).CombinedOutput()
	if err != nil {
		if strings.Contains(string(out), "not a dynamic executable") || strings.Contains(string(out), "statically linked") {
			return nil, nil
		}
		return nil, err
	}
	var libs []string
	for _, line := range strings.Split(string(out), "\n") {
		for _, f := range strings.Fields(line) {
			if strings.HasPrefix(f, "/") {
				libs = append(libs, f)
			}
		}
	}
	return libs, nil
}
