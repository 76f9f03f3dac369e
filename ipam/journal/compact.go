package journal

import (
	"bufio"
	"os"
	"path/filepath"
)

// compact writes the records that count to a new file, which takes the place
// of the old one at once. A crash leaves one of the two. Called with mu held.
func (j *Journal) compact() error {
	next := j.path + ".new"
	f, err := os.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	size, err := j.dump(f)
	if err == nil && j.opt.Sync {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(next, j.path)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(next)
		return err
	}
	if j.opt.Sync {
		if dir, err := os.Open(filepath.Dir(j.path)); err == nil {
			_ = dir.Sync()
			_ = dir.Close()
		}
	}
	_ = j.file.Close()
	j.file, j.size, j.room, j.live, j.broken = f, size, 0, size, nil
	return nil
}

func (j *Journal) dump(f *os.File) (size int64, err error) {
	w := bufio.NewWriter(f)
	for key, value := range j.values {
		j.frame = record{opPut, key, value}.encode(j.frame[:0])
		n, err := w.Write(j.frame)
		size += int64(n)
		if err != nil {
			return size, err
		}
	}
	return size, w.Flush()
}
