package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func open(t testing.TB, path string) (*Journal, Report) {
	t.Helper()
	j, r, err := Open(context.Background(), path, Options{Most: 4096})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, r
}

func content(j *Journal) map[string]string {
	out := map[string]string{}
	j.All(func(k string, v []byte) { out[k] = string(v) })
	return out
}

func TestWhatWasPutIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, r := open(t, path)
	if !r.New {
		t.Error("a new journal does not say so")
	}
	want := map[string]string{}
	for i := range 2000 { // over many compactions
		k := fmt.Sprint("key", i%17)
		if i%5 == 0 {
			delete(want, k)
			if err := j.Delete(k); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want[k] = strings.Repeat("v", i%90)
		if err := j.Put(k, []byte(want[k])); err != nil {
			t.Fatal(err)
		}
	}
	if info, _ := os.Stat(path); info.Size() > 3*4096+4*int64(len(want))*100 {
		t.Errorf("the file has %d bytes for %d records", info.Size(), len(want))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, r = open(t, path)
	if r != (Report{}) {
		t.Errorf("report %+v", r)
	}
	if got := content(j); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// However much of the end is missing, what is left is a state that was there.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, filepath.Join(dir, "whole"))
	states := []map[string]string{content(j)}
	for i := range 12 {
		if err := j.Put(fmt.Sprint(i%4), []byte(fmt.Sprint("value ", i))); err != nil {
			t.Fatal(err)
		}
		states = append(states, content(j))
	}
	_ = j.Close()
	whole, err := os.ReadFile(filepath.Join(dir, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for n := range len(whole) + 1 {
		path := filepath.Join(dir, fmt.Sprint("cut", n))
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		j, r := open(t, path)
		for at < len(states)-1 && maps.Equal(content(j), states[at+1]) {
			at++
		}
		if !maps.Equal(content(j), states[at]) || r.Damaged != 0 {
			t.Fatalf("%d of %d bytes: %v, report %+v", n, len(whole), content(j), r)
		}
		if err := j.Put("after", []byte("x")); err != nil {
			t.Fatal(err)
		}
		_ = j.Close()
		j, _ = open(t, path)
		if content(j)["after"] != "x" {
			t.Fatalf("%d bytes: what was put after the tear is lost", n)
		}
		_ = j.Close()
	}
	if at != len(states)-1 {
		t.Errorf("only %d of %d states seen", at, len(states))
	}
}

// A damaged byte costs the record it is in, is told of, and nothing else.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(dir, "damaged")
		_ = os.Remove(path)
		j, _ := open(t, path)
		const records = 8
		for i := range records {
			if err := j.Put(fmt.Sprint(i), bytes.Repeat([]byte{0xf5, 0x84, byte(i)}, 5)); err != nil {
				rt.Fatal(err)
			}
		}
		_ = j.Close()
		whole, _ := os.ReadFile(path)
		at := rapid.IntRange(0, len(whole)-1).Draw(rt, "at")
		whole[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "flip"))
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			rt.Fatal(err)
		}
		j, r := open(t, path)
		defer j.Close()
		if got := content(j); len(got) != records-1 {
			rt.Fatalf("byte %d: %d records are left of %d", at, len(got), records)
		}
		if r.Damaged+r.Torn == 0 {
			rt.Fatalf("byte %d: not told of", at)
		}
	})
}

func TestOneProcessHasIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := Open(ctx, path, Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a second one opened it: %v", err)
	}
	opened := make(chan error, 1)
	go func() {
		other, _, err := Open(context.Background(), path, Options{})
		if err == nil {
			_ = other.Close()
		}
		opened <- err
	}()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatalf("after it was let go: %v", err)
	}
	if err := j.Put("k", nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("put into a closed journal: %v", err)
	}
}

// A file system that is full loses the record that did not fit, and no other.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tsttmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatalf("mount a small tmpfs (the test needs root): %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	path := filepath.Join(dir, "j")
	j, _, err := Open(context.Background(), path, Options{Most: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	var full error
	for i := 0; full == nil && i < 1000; i++ {
		k, v := fmt.Sprint(i), strings.Repeat("v", 700)
		if full = j.Put(k, []byte(v)); full == nil {
			want[k] = v
		}
	}
	if !errors.Is(full, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", full)
	}
	if !maps.Equal(content(j), want) {
		t.Error("what was refused is there")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, r, err := Open(context.Background(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if !maps.Equal(content(j), want) || r.Damaged != 0 {
		t.Errorf("%d records are left of %d, report %+v", j.Len(), len(want), r)
	}
}

// On a full disk what there is can end; there is room again then, and for new
// things as soon as the disk has some.
func TestReserve(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tsttmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatalf("mount a small tmpfs (the test needs root): %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	j, _, err := Open(context.Background(), filepath.Join(dir, "j"), Options{Reserve: 64 << 10,
		Ends: func(_ string, value []byte) bool { return string(value) == "end" }})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for i := range 20 {
		if err := j.Put(fmt.Sprint(i), []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	rest := filepath.Join(dir, "rest")
	if err := os.WriteFile(rest, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	big := []byte(strings.Repeat("v", 8<<10))
	refused := 0
	for i := range 40 {
		if err := j.Put(fmt.Sprint("big", i), big); errors.Is(err, syscall.ENOSPC) {
			refused++
		}
	}
	if refused < 20 {
		t.Errorf("%d of 40 large records were refused", refused)
	}
	for i := range 10 {
		if err := j.Delete(fmt.Sprint(i)); err != nil {
			t.Fatalf("on a full disk: %v", err)
		}
		if err := j.Put(fmt.Sprint(10+i), []byte("end")); err != nil {
			t.Fatalf("on a full disk: %v", err)
		}
	}
	if err := os.Remove(rest); err != nil {
		t.Fatal(err)
	}
	if err := j.Put("again", []byte("value")); err != nil {
		t.Errorf("with room: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	frame := record{opPut, "key", []byte("value")}.encode(nil)
	f.Add(frame)
	f.Add(append(append([]byte("junk"), frame...), mark...))
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		j, _ := open(t, path)
		had := content(j)
		_ = j.Close()
		j, r := open(t, path)
		if !maps.Equal(content(j), had) || r.Torn+r.Damaged != 0 {
			t.Fatalf("read again: %v, report %+v, had %v", content(j), r, had)
		}
		_ = j.Close()
	})
}

func BenchmarkPut(b *testing.B) {
	j, _ := open(b, filepath.Join("/dev/shm", fmt.Sprintf("tstjournal-%d", os.Getpid())))
	b.Cleanup(func() { _ = os.Remove(j.path); _ = os.Remove(j.path + ".lock") })
	value := bytes.Repeat([]byte("v"), 200)
	for b.Loop() {
		if err := j.Put("key", value); err != nil {
			b.Fatal(err)
		}
	}
}
