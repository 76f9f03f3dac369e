package snapshot

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// Text is a log or a configuration file, named as it was found.
type Text struct{ Name, Text string }

// Passed is a file that nothing, or not everything, could be read from, and why.
type Passed struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// largest is how much of one file is read: of a longer log, the start.
const largest = 64 << 20

// FromFiles reads a Snapshot out of files and directories: objects as FromDump does, of everything else that is text the lines. A file
// whose name ends in .gz is unpacked. A file that cannot be read, or only in part, is named; only a path that is not there is an error.
func FromFiles(paths []string) (*Snapshot, []Passed, error) {
	s := &Snapshot{Time: time.Now(), Unread: map[string]string{}}
	b := bundle{dump: dump{lists: s.lists(), seen: map[string]bool{}}, to: s}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return nil, nil, fmt.Errorf("read the files: %w", err)
		}
		_ = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				b.pass(file, err)
			case entry.IsDir() && file != path && strings.HasPrefix(entry.Name(), "."):
				return fs.SkipDir
			case !entry.IsDir():
				b.file(file)
			}
			return nil
		})
	}
	b.unread(s)
	s.objects = b.objects
	return s, b.passed, nil
}

// Something tells whether an object was read of files, or a text that was not to be one.
func (s *Snapshot) Something(passed []Passed) bool {
	return s.objects > 0 || slices.ContainsFunc(s.Texts, func(t Text) bool {
		return !slices.ContainsFunc(passed, func(p Passed) bool { return p.File == t.Name })
	})
}

// bundle is one FromFiles.
type bundle struct {
	dump
	to     *Snapshot
	passed []Passed
}

func (b *bundle) pass(file string, err error) {
	b.passed = append(b.passed, Passed{file, err.Error()})
}

func (b *bundle) file(file string) {
	raw, err := content(file)
	name := strings.TrimSuffix(file, ".gz")
	switch {
	case err != nil:
		b.pass(file, err)
	case len(bytes.TrimSpace(raw)) == 0:
		b.pass(file, errors.New("it is empty"))
	case bytes.IndexByte(raw[:min(len(raw), 8<<10)], 0) >= 0:
		b.pass(file, errors.New("it is no text"))
	case slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)):
		b.objectsOf(file, raw)
	default:
		b.to.Texts = append(b.to.Texts, Text{file, string(raw)})
	}
}

// objectsOf takes every document that can be read, and what is wrong with the first that cannot.
func (b *bundle) objectsOf(file string, raw []byte) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	var wrong error
	before := b.objects
	for n := 1; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = b.document(document)
		}
		if err != nil && wrong == nil {
			wrong = fmt.Errorf("document %d: %w", n, err)
		}
	}
	if wrong == nil {
		return
	}
	if b.objects == before { // values of a chart, a CNI configuration: text that a check may know
		b.to.Texts = append(b.to.Texts, Text{file, string(raw)})
	}
	b.pass(file, wrong)
}

// content reads a file, unpacked.
func content(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	var from io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if from, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
	}
	raw, err := io.ReadAll(io.LimitReader(from, largest))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return raw, nil
}
