package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTableFits(t *testing.T) {
	for _, width := range []int{0, 200, 60, 40, 10} {
		rows := table{header: []string{"NAME", "WHAT"}, width: width}
		rows.add("short", strings.Repeat("long ", 20))
		rows.add("つなぐ", "")
		var out strings.Builder
		rows.print(&out, "none")
		for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			n := utf8.RuneCountInString(line)
			if width >= 26 && n > width {
				t.Errorf("at %d columns a line has %d: %q", width, n, line)
			}
			if strings.HasSuffix(line, " ") {
				t.Errorf("a line ends in a space: %q", line)
			}
		}
		if !strings.Contains(out.String(), "short") {
			t.Errorf("at %d columns the first column is cut: %s", width, out.String())
		}
		if whole := strings.Contains(out.String(), strings.TrimSpace(strings.Repeat("long ", 20))); whole != (width == 0 || width == 200) {
			t.Errorf("at %d columns the text is whole: %t", width, whole)
		}
	}
}

func TestTableDoesWithoutColumns(t *testing.T) {
	for width, want := range map[int]string{0: "NAME  MORE  MOST", 16: "NAME  MORE  MOST", 15: "NAME  MOST", 9: "NAME"} {
		rows := table{header: []string{"NAME", "MORE", "MOST"}, width: width, spare: []string{"MORE", "MOST"}}
		rows.add("a", "b", "c")
		var out strings.Builder
		rows.print(&out, "none")
		if have, _, _ := strings.Cut(out.String(), "\n"); have != want {
			t.Errorf("at %d columns want %q, have %q", width, want, have)
		}
	}
}

func TestEmptyTableSaysSo(t *testing.T) {
	var out strings.Builder
	(&table{header: []string{"A"}}).print(&out, "no rows")
	if out.String() != "no rows\n" {
		t.Errorf("have %q", out.String())
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		label, text string
		width       int
		want        string
	}{
		{"a ", "b c", 0, "a b c\n"},
		{"a ", "bb cc dd", 7, "a bb cc\n  dd\n"},
		{"  fix ", "averyveryverylongword x", 10, "  fix averyveryverylongword\n      x\n"},
		{"a ", "", 10, "a \n"},
	} {
		if have := wrap(c.label, c.text, c.width); have != c.want {
			t.Errorf("wrap(%q, %q, %d): want %q, have %q", c.label, c.text, c.width, c.want, have)
		}
	}
}
