package journal

import (
	"errors"
	"syscall"
)

// roomStep is how much is allocated at once besides the reserve.
const roomStep = 16 << 10

// makeRoom allocates room for the frame and, behind it, the reserve. On a full
// disk only what ends something is written, into the reserve. Called with mu
// held.
func (j *Journal) makeRoom(r record) error {
	need := j.size + int64(len(j.frame)) + j.opt.Reserve
	if j.opt.Reserve == 0 || need <= j.room {
		return nil
	}
	err := j.allocate(need + roomStep)
	if err != nil {
		err = j.allocate(need)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
		return nil // nothing can be set aside on this file system
	case r.op == opDelete, j.opt.Ends != nil && j.opt.Ends(r.key, r.value):
		return nil
	}
	return err
}

// allocate makes the file's first bytes take room on the disk, without a change
// of its size.
func (j *Journal) allocate(to int64) error {
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE
	for {
		err := syscall.Fallocate(int(j.file.Fd()), keepSize, 0, to)
		if err == nil {
			j.room = to
		}
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
