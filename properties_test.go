package tsunagu_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The list of properties is whole, and each test that it names exists.
func TestEveryPropertyHasItsTest(t *testing.T) {
	page, err := os.ReadFile("docs/properties.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	define := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range define.FindAllStringSubmatch(string(source), -1) {
			exists[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`Test\w+`)
	for i := 1; i <= 23; i++ {
		_, row, found := strings.Cut(string(page), fmt.Sprintf("\n| P%d |", i))
		row, _, _ = strings.Cut(row, "\n")
		tests := name.FindAllString(row, -1)
		if !found || len(tests) == 0 {
			t.Errorf("docs/properties.md has no test of P%d", i)
		}
		for _, test := range tests {
			if !exists[test] {
				t.Errorf("docs/properties.md: P%d names %s, which does not exist", i, test)
			}
		}
	}
}
