package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binaries are the commands in the image; tsunagu-cni is there for the agent
// to copy to the node.
var binaries = []string{"tsunagu", "tsunagu-agent", "tsunagu-cni", "tsunagu-controller", "tsunagu-keep", "tsunagu-vip"}

// build says what the binaries are built from and for.
type build struct{ root, version, arch string }

// files builds the binaries and returns every file of the image by path.
func (b build) files() (map[string]file, error) {
	dir, err := os.MkdirTemp("", "tsunagu-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	files := map[string]file{
		// Names for the user ids in use, and a folder for who insists on one.
		"etc/passwd": {mode: 0o644, data: []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")},
		"etc/group":  {mode: 0o644, data: []byte("root:x:0:\nnonroot:x:65532:\n")},
	}
	license, err := os.ReadFile(filepath.Join(b.root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	files["licenses/tsunagu/LICENSE"] = file{mode: 0o644, data: license}
	for _, name := range binaries {
		path := filepath.Join(dir, name)
		if err := b.compile(name, path); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files["usr/bin/"+name] = file{mode: 0o755, data: data}
	}
	return files, nil
}

// compile builds one command statically, free of paths and of the state of
// the work tree, so that the same source gives the same bytes.
func (b build) compile(name, out string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+b.version, "-o", out, "./cmd/"+name)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.arch, "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, strings.TrimSpace(string(text)))
	}
	return nil
}
