package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// part is how names of files that are being written begin. The leading dot
// and the missing ending keep runtimes from loading them.
const part = ".tsunagu-part-"

// place puts data at path in one step: whoever opens path sees the old file or
// the new one, whole, even after a power cut. A program that is running from
// the old file goes on with it, so this never meets "text file busy".
func place(path string, data []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, part+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(dir)
}

// loopbackName is the plugin that containerd and CRI-O execute for lo.
const loopbackName = "loopback"

// link makes a symbolic link within a folder; one that is there stays.
func link(to, path string) error {
	if err := os.Symlink(to, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// whose tells whether a plugin is a link to our shim.
func whose(path string) (Whose, error) {
	to, err := os.Readlink(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Nobody, nil
	case err == nil && to == ShimName:
		return OurOwn, nil
	case err == nil || errors.Is(err, syscall.EINVAL): // EINVAL: no link at all
		return Foreign, nil
	}
	return Foreign, err
}

// move renames a file within a folder and makes that last.
func move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// remove removes a file; one that is gone is fine.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// contents returns a file's contents, nil when it is absent.
func contents(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && raw == nil {
		raw = []byte{}
	}
	return raw, err
}

// list returns the names in a folder, and of those the litter as full paths.
func list(dir string) (names, litter []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		names = append(names, e.Name())
		if strings.HasPrefix(e.Name(), part) {
			litter = append(litter, filepath.Join(dir, e.Name()))
		}
	}
	return names, litter, nil
}
