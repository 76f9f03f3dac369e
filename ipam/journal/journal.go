package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// Options of a Journal.
type Options struct {
	// Sync makes each Put and Delete wait until the disk has it.
	Sync bool
	// Most is the size in bytes from which the file is written anew when most
	// of it is history; 1 MiB if zero.
	Most int64
	// Reserve is how many bytes of the disk are set aside for Deletes, and for
	// records of which Ends says so: a full disk does not keep what there is
	// from ending. 0 sets nothing aside.
	Reserve int64
	Ends    func(key string, value []byte) bool
}

// Report says what was found in the file.
type Report struct {
	// New: there was no file.
	New bool
	// Torn is the number of bytes of a last record that was being written when
	// the process died. Nobody was told that it had been.
	Torn int64
	// Damaged is the number of bytes in which no record could be read although
	// records follow: some Put or Delete may be missing.
	Damaged int64
}

// Journal is an open journal. All methods may be called at any time.
type Journal struct {
	path string
	opt  Options
	lock *os.File

	mu     sync.Mutex
	file   *os.File
	size   int64 // all of it is whole records
	room   int64 // of the file, allocated from its begin
	live   int64 // bytes of records that still count
	values map[string][]byte
	frame  []byte
	broken error
}

// Open reads the journal at path, or begins one. It waits until ctx ends for a
// process that has it to let go.
func Open(ctx context.Context, path string, opt Options) (*Journal, Report, error) {
	if opt.Most == 0 {
		opt.Most = 1 << 20
	}
	j := &Journal{path: path, opt: opt, values: map[string][]byte{}}
	if err := j.acquire(ctx); err != nil {
		return nil, Report{}, err
	}
	report, err := j.load()
	if err != nil {
		_ = j.lock.Close()
		return nil, report, fmt.Errorf("read journal %s: %w", path, err)
	}
	return j, report, nil
}

// acquire locks a file beside the journal, because the journal itself is
// replaced now and then.
func (j *Journal) acquire(ctx context.Context) error {
	f, err := os.OpenFile(j.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock journal: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			j.lock = f
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return fmt.Errorf("lock journal %s: %w", j.path, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			_ = f.Close()
			return fmt.Errorf("lock journal %s: another process has it: %w", j.path, ctx.Err())
		}
	}
}

func (j *Journal) load() (Report, error) {
	f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return Report{}, err
	}
	content, err := io.ReadAll(f)
	if err != nil {
		_ = f.Close()
		return Report{}, err
	}
	report := Report{New: len(content) == 0}
	var end int64
	end, report.Damaged = scan(content, j.apply)
	report.Torn = int64(len(content)) - end
	j.file, j.size = f, end
	if report.Torn > 0 {
		if err := f.Truncate(end); err != nil {
			_ = f.Close()
			return report, err
		}
	}
	if report.Damaged > 0 {
		// Without the space for it the damage stays, and is told of again.
		_ = j.compact()
	}
	return report, nil
}

func (j *Journal) apply(r record) {
	if old, ok := j.values[r.key]; ok {
		j.live -= frameSize(r.key, old)
		delete(j.values, r.key)
	}
	if r.op == opPut {
		j.values[r.key] = append([]byte(nil), r.value...)
		j.live += frameSize(r.key, r.value)
	}
}

// Put writes a record over the one of the same key.
func (j *Journal) Put(key string, value []byte) error {
	return j.append(record{opPut, key, value})
}

// Delete writes that the record of a key is no more. An unknown key is fine.
func (j *Journal) Delete(key string) error {
	j.mu.Lock()
	_, known := j.values[key]
	j.mu.Unlock()
	if !known {
		return nil
	}
	return j.append(record{op: opDelete, key: key})
}

// Get is the record of a key.
func (j *Journal) Get(key string) ([]byte, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	value, ok := j.values[key]
	return value, ok
}

// All visits every record, in no order. visit must not call the Journal.
func (j *Journal) All(visit func(key string, value []byte)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for key, value := range j.values {
		visit(key, value)
	}
}

// Len is the number of records.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.values)
}

func (j *Journal) append(r record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return fmt.Errorf("write journal %s: %w", j.path, os.ErrClosed)
	}
	if len(r.key) > mostKey || len(r.value) > mostValue {
		return fmt.Errorf("write journal %s: record %.40q is too large", j.path, r.key)
	}
	if j.broken != nil {
		// The end of the file is not known: write it anew, or stay broken.
		if err := j.compact(); err != nil {
			return fmt.Errorf("write journal %s: %w", j.path, err)
		}
	}
	j.frame = r.encode(j.frame[:0])
	if err := j.makeRoom(r); err != nil {
		return fmt.Errorf("write journal %s: %w", j.path, err)
	}
	if err := j.write(j.frame); err != nil {
		return fmt.Errorf("write journal %s: %w", j.path, err)
	}
	j.apply(r)
	if j.size > j.opt.Most && j.size > 4*j.live {
		// If it fails the journal is longer than it need be, no worse.
		_ = j.compact()
	}
	return nil
}

// write appends whole records or nothing.
func (j *Journal) write(frame []byte) error {
	_, err := j.file.WriteAt(frame, j.size)
	if err == nil && j.opt.Sync {
		err = syscall.Fdatasync(int(j.file.Fd()))
	}
	if err != nil {
		j.room = 0
		if cut := j.file.Truncate(j.size); cut != nil {
			j.broken = errors.Join(err, cut)
		}
		return err
	}
	j.size += int64(len(frame))
	return nil
}

// Close lets go of the journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return errors.Join(err, j.lock.Close())
}
