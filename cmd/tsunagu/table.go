package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// table is rows under a header. A cell without text shows "-".
type table struct {
	header []string
	rows   [][]string
	// width is where lines are cut; 0 cuts nothing.
	width int
}

func (t *table) add(cells ...any) {
	row := make([]string, len(t.header))
	for i := range row {
		row[i] = "-"
		if i < len(cells) {
			if text := fmt.Sprint(cells[i]); text != "" {
				row[i] = text
			}
		}
	}
	t.rows = append(t.rows, row)
}

// dropEmpty leaves out a column in which no row has anything.
func (t *table) dropEmpty(name string) {
	i := slices.Index(t.header, name)
	if i < 0 || slices.ContainsFunc(t.rows, func(row []string) bool { return row[i] != "-" }) {
		return
	}
	t.header = slices.Delete(t.header, i, i+1)
	for r := range t.rows {
		t.rows[r] = slices.Delete(t.rows[r], i, i+1)
	}
}

// print writes the table; without rows it writes what to say instead.
func (t *table) print(w io.Writer, empty string) {
	if len(t.rows) == 0 {
		fmt.Fprintln(w, empty)
		return
	}
	widths := t.widths()
	for _, row := range append([][]string{t.header}, t.rows...) {
		var line strings.Builder
		for i, cell := range row {
			cell = cut(cell, widths[i])
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// widths gives each column what it needs; when that is more than there is,
// the widest columns give way, down to 12.
func (t *table) widths() []int {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	if t.width == 0 {
		return widths
	}
	for {
		sum, widest := 2*(len(widths)-1), 0
		for i, w := range widths {
			sum += w
			if w > widths[widest] {
				widest = i
			}
		}
		if sum <= t.width || widths[widest] <= 12 {
			return widths
		}
		widths[widest]--
	}
}

// cut shortens text to a number of characters, the last of them an ellipsis.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// wrap breaks text into lines of a width at spaces, the first behind a label
// and the others below it.
func wrap(label, text string, width int) string {
	if width == 0 {
		return label + text + "\n"
	}
	var out strings.Builder
	indent := strings.Repeat(" ", utf8.RuneCountInString(label))
	line := label
	for i, word := range strings.Fields(text) {
		if i > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width && strings.TrimSpace(line) != "" {
			out.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	out.WriteString(line + "\n")
	return out.String()
}
