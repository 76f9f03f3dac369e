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
	// width is how wide a line may be; 0 is any.
	width int
	// spare are columns to do without where there is no room, the first first.
	spare []string
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
	if i >= 0 && !slices.ContainsFunc(t.rows, func(row []string) bool { return row[i] != "-" }) {
		t.drop(name)
	}
}

func (t *table) drop(name string) {
	i := slices.Index(t.header, name)
	if i < 0 {
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
	for _, name := range t.spare {
		if t.width == 0 || total(t.natural()) <= t.width {
			break
		}
		t.drop(name)
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

// natural is the width that each column needs.
func (t *table) natural() []int {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func total(widths []int) int {
	sum := 2 * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// widths gives each column what it needs; when that is more than there is, the
// widest give way, down to 12, but never the first, which is the row's name.
func (t *table) widths() []int {
	widths := t.natural()
	for t.width > 0 && total(widths) > t.width && len(widths) > 1 {
		widest := 1
		for i := 2; i < len(widths); i++ {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= 12 {
			break
		}
		widths[widest]--
	}
	return widths
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
