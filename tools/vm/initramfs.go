package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed init.sh
var initScript []byte

// bootModules are what the first seconds need: to see this machine's files and
// to make them writable. What tests need is in testModules.
var bootModules = []string{"virtio_pci", "9pnet_virtio", "9p", "overlay"}

// initramfs is the archive the kernel starts from: busybox, the modules that
// reach the 9p root, and init.sh.
func initramfs(k kernel) ([]byte, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("%w (package busybox-static)", err)
	}
	box, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	index, err := readModuleIndex(k)
	if err != nil {
		return nil, err
	}
	var a archive
	for _, dir := range []string{"bin", "dev", "proc", "sys", "host", "over", "root", "mod"} {
		a.add(dir, 0o040755, nil)
	}
	a.add("bin/busybox", 0o100755, box)
	a.add("bin/sh", 0o120777, []byte("busybox"))
	a.add("init", 0o100755, initScript)
	var order bytes.Buffer
	for _, m := range index.order(bootModules) {
		content, err := readModule(filepath.Join(k.modules(), m))
		if err != nil {
			return nil, err
		}
		name := moduleName(m)
		a.add("mod/"+name+".ko", 0o100644, content)
		fmt.Fprintln(&order, name)
	}
	a.add("mod/order", 0o100644, order.Bytes())
	return a.close(), nil
}

// archive writes cpio in the "newc" form (Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	b     bytes.Buffer
	inode int
}

func (a *archive) add(name string, mode int, content []byte) {
	a.inode++
	fmt.Fprintf(&a.b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	a.b.WriteString(name)
	a.b.WriteByte(0)
	a.pad()
	a.b.Write(content)
	a.pad()
}

func (a *archive) pad() {
	for a.b.Len()%4 != 0 {
		a.b.WriteByte(0)
	}
}

func (a *archive) close() []byte {
	a.inode = -1
	a.add("TRAILER!!!", 0, nil)
	return a.b.Bytes()
}

// moduleIndex is modules.dep: what each module needs, by its file.
type moduleIndex struct {
	file  map[string]string   // of a module's name
	needs map[string][]string // of a file
}

func readModuleIndex(k kernel) (moduleIndex, error) {
	x := moduleIndex{map[string]string{}, map[string][]string{}}
	dep, err := os.ReadFile(filepath.Join(k.modules(), "modules.dep"))
	if err != nil {
		return x, err
	}
	for line := range strings.Lines(string(dep)) {
		file, needs, _ := strings.Cut(line, ":")
		x.file[moduleName(file)] = file
		x.needs[file] = strings.Fields(needs)
	}
	return x, nil
}

// moduleName is how a module is called: the file without directory and ending,
// with the underscores that modprobe takes for hyphens.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}

// order lists the files of modules after those they need. A name the kernel
// has neither as a module nor inside is left out: another version may not
// need it, and the boot will say what is missing.
func (x moduleIndex) order(names []string) []string {
	var out []string
	seen := map[string]bool{}
	var visit func(file string)
	visit = func(file string) {
		if file == "" || seen[file] {
			return
		}
		seen[file] = true
		for _, need := range x.needs[file] {
			visit(need)
		}
		out = append(out, file)
	}
	for _, n := range names {
		visit(x.file[n])
	}
	return out
}

// readModule is a module's content, unpacked: busybox loads no compressed ones.
func readModule(file string) ([]byte, error) {
	unpack := map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"}[filepath.Ext(file)]
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if unpack == "" {
		return io.ReadAll(f)
	}
	cmd := exec.Command(unpack, "-dc")
	cmd.Stdin = f
	return cmd.Output()
}
