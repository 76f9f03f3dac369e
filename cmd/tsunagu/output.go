package main

// The rules of output:
//
//  1. stdout is the answer and nothing else; progress, hints and errors go to
//     stderr.
//  2. People get tables: a header in capitals, two spaces between columns, "-"
//     for nothing, no frames.
//  3. Programs get -o json or -o yaml: fields are added, never renamed or
//     removed; a list is never null; nothing is cut.
//  4. Tables do without columns and cut cells to fit a terminal, and only on
//     a terminal; the first column is never cut.
//  5. Colour is on a terminal only, never with NO_COLOR, and never carries
//     meaning of its own.
//  6. Whatever takes longer than two seconds says what it is doing.
//  7. An error is one line, what was being done, to what, the cause; then a
//     line "hint:" when there is something to do about it.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
	"sigs.k8s.io/yaml"
)

// terminal is where a command speaks to.
type terminal struct {
	out, err io.Writer
}

// format is the value of -o.
type format string

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "table|json|yaml" }

func (f *format) Set(s string) error {
	switch s {
	case "table", "json", "yaml":
		*f = format(s)
		return nil
	}
	return fmt.Errorf("want table, json or yaml, have %q", s)
}

// show prints a view: as it is for programs, by table for people.
func (t terminal) show(f format, view any, table func(io.Writer)) error {
	var text bytes.Buffer
	switch f {
	case "json", "yaml":
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(view); err != nil {
			return fmt.Errorf("write the answer as %s: %w", f, err)
		}
		if f == "yaml" {
			out, err := yaml.JSONToYAML(text.Bytes())
			if err != nil {
				return fmt.Errorf("write the answer as yaml: %w", err)
			}
			text = *bytes.NewBuffer(out)
		}
	default:
		table(&text)
	}
	_, err := t.out.Write(text.Bytes())
	return err
}

// width is the number of columns of the terminal, 0 when there is none and
// nothing is to be cut. COLUMNS overrides it.
func (t terminal) width() int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if fd, ok := isTerminal(t.out); ok {
		if w, _, err := term.GetSize(fd); err == nil {
			return w
		}
	}
	return 0
}

// bold marks a heading, on terminals that want it.
func (t terminal) bold(s string) string { return t.paint("1", s) }

// paint colours text by an SGR code (ECMA-48 8.3.117).
func (t terminal) paint(code, s string) string {
	if _, ok := isTerminal(t.out); !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func isTerminal(w io.Writer) (fd int, ok bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	return int(f.Fd()), term.IsTerminal(int(f.Fd()))
}
