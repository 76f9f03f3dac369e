package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kernel is an unpacked kernel package: nothing of it is installed.
type kernel struct {
	version string
	image   string // the bzImage
	tree    string // the directory with lib/modules/<version>
}

func (k kernel) modules() string { return filepath.Join(k.tree, "lib", "modules", k.version) }

// metaPackages depend on the current kernel of their distribution; every
// package they name that holds a kernel or its modules is unpacked.
var metaPackages = []string{"linux-image-amd64", "linux-image-generic"}

// findKernel takes the kernel from ~/.cache/tsunagu/vm, where it puts it first
// if it is not there: downloaded by apt-get, unpacked by dpkg, never installed.
func findKernel(ctx context.Context) (kernel, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return kernel{}, err
	}
	dir := filepath.Join(cache, "tsunagu", "vm")
	if k, err := readKernel(filepath.Join(dir, "kernel")); err == nil {
		return k, nil
	}
	fmt.Println("vm: fetching a kernel (once, about 70 MB)")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return kernel{}, err
	}
	made, err := os.MkdirTemp(dir, "fetching-")
	if err != nil {
		return kernel{}, err
	}
	defer os.RemoveAll(made)
	if err := fetchKernel(ctx, made); err != nil {
		return kernel{}, err
	}
	if _, err := readKernel(filepath.Join(made, "tree")); err != nil {
		return kernel{}, err
	}
	// Somebody else may have been as quick: one of the two trees stays.
	if err := os.Rename(filepath.Join(made, "tree"), filepath.Join(dir, "kernel")); err != nil && !errors.Is(err, os.ErrExist) {
		return kernel{}, err
	}
	return readKernel(filepath.Join(dir, "kernel"))
}

func readKernel(tree string) (kernel, error) {
	images, _ := filepath.Glob(filepath.Join(tree, "boot", "vmlinuz-*"))
	if len(images) == 0 {
		return kernel{}, fmt.Errorf("%s holds no boot/vmlinuz-*", tree)
	}
	k := kernel{image: images[0], tree: tree, version: strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")}
	if _, err := os.Stat(filepath.Join(k.modules(), "modules.dep")); err != nil {
		return kernel{}, err
	}
	return k, nil
}

// fetchKernel leaves an unpacked kernel with its module index in dir/tree.
func fetchKernel(ctx context.Context, dir string) error {
	names, err := kernelPackages(ctx)
	if err != nil {
		return err
	}
	if _, err := command(ctx, dir, "apt-get", append([]string{"download", "-qq"}, names...)...); err != nil {
		return err
	}
	debs, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	tree := filepath.Join(dir, "tree")
	for _, deb := range debs {
		if _, err := command(ctx, dir, "dpkg", "-x", deb, tree); err != nil {
			return err
		}
	}
	images, _ := filepath.Glob(filepath.Join(tree, "boot", "vmlinuz-*"))
	if len(images) == 0 {
		return fmt.Errorf("%v hold no kernel", names)
	}
	_, err = command(ctx, dir, "/sbin/depmod", "-b", tree, strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-"))
	return err
}

// kernelPackages asks apt which packages the current kernel is made of. Lists
// of packages that are missing or stale are fetched, which needs root.
func kernelPackages(ctx context.Context) ([]string, error) {
	for range 2 {
		for _, meta := range metaPackages {
			out, err := command(ctx, "", "apt-cache", "depends", "--no-recommends", "--no-suggests", meta)
			if err != nil {
				continue
			}
			var names []string
			for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
				name, is := strings.CutPrefix(strings.TrimSpace(lines.Text()), "Depends: ")
				if is && (strings.HasPrefix(name, "linux-image-") || strings.HasPrefix(name, "linux-modules-")) {
					names = append(names, name)
				}
			}
			if len(names) > 0 {
				return names, nil
			}
		}
		if _, err := command(ctx, "", "apt-get", "update", "-qq"); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("apt knows none of %v: put boot/vmlinuz-VERSION and lib/modules/VERSION of a kernel into ~/.cache/tsunagu/vm/kernel", metaPackages)
}

// command runs a program and shows what it said when it went wrong.
func command(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, diag.Bytes())
	}
	return out.Bytes(), nil
}
