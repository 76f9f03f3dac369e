package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The job's own lines around the output of one test program.
const (
	begins = "vm: suite begins "
	ends   = "vm: suite ends "
)

// verdict reads what the test programs print and holds it against what had to
// pass. What a program prints is shown when it went wrong, or with -v.
type verdict struct {
	suites  []suite
	verbose bool

	at      int // the suite that runs, -1 between suites
	output  []string
	passed  int
	okay    map[string]bool // of the suite that runs
	wrong   []string
	running string
	since   time.Time // the suite that runs
}

func newVerdict(suites []suite, verbose bool) *verdict {
	return &verdict{suites: suites, verbose: verbose, at: -1}
}

func (v *verdict) line(s string) {
	if rest, is := strings.CutPrefix(s, begins); is {
		v.begin(rest)
		return
	}
	if rest, is := strings.CutPrefix(s, ends); is {
		v.end(rest)
		return
	}
	if v.verbose || v.at < 0 {
		fmt.Println(s)
	}
	v.output = append(v.output, s)
	if name, is := strings.CutPrefix(s, "=== RUN   "); is {
		v.running = name
	}
	// A test may have printed without a newline before its verdict.
	if _, rest, is := strings.Cut(s, "--- PASS: "); is && !strings.HasPrefix(s, " ") {
		name, _, _ := strings.Cut(rest, " ")
		v.okay[name] = true
	}
	if _, rest, is := strings.Cut(s, "--- SKIP: "); is && v.whole() {
		fmt.Println("vm: skipped", rest)
	}
}

func (v *verdict) whole() bool { return v.at >= 0 && v.suites[v.at].whole }

func (v *verdict) begin(index string) {
	v.at, _ = strconv.Atoi(index)
	v.output, v.okay, v.since = nil, map[string]bool{}, time.Now()
	fmt.Printf("vm: %d/%d run %s: %d tests, %d benchmarks behind the tag\n", v.at+1, len(v.suites), v.suites[v.at].path, len(v.suites[v.at].tests), len(v.suites[v.at].bench))
}

func (v *verdict) end(rest string) {
	_, code, _ := strings.Cut(rest, " ")
	s := v.suites[v.at]
	before := len(v.wrong)
	if code != "0" {
		v.wrong = append(v.wrong, fmt.Sprintf("%s: exit status %s", s.path, code))
	}
	for _, name := range s.tests {
		if !v.okay[name] {
			v.wrong = append(v.wrong, fmt.Sprintf("%s: %s did not pass: a test behind the tag that is skipped here runs nowhere", s.path, name))
		}
	}
	v.passed += len(v.okay)
	fmt.Printf("vm: %d/%d %d passed in %s\n", v.at+1, len(v.suites), len(v.okay), time.Since(v.since).Round(time.Second/10))
	if len(v.wrong) > before && !v.verbose {
		fmt.Println(strings.Join(v.output, "\n"))
	}
	v.at, v.running = -1, ""
}

// during adds where the machine was when it stopped.
func (v *verdict) during(err error) error {
	if v.at < 0 {
		return err
	}
	last := v.output[max(0, len(v.output)-60):]
	return fmt.Errorf("in %s, %s: %w\n%s", v.suites[v.at].path, v.running, err, strings.Join(last, "\n"))
}

// conclude is the end of a run that came to its end.
func (v *verdict) conclude(benchmarks bool) error {
	if len(v.wrong) > 0 {
		slices.Sort(v.wrong)
		return fmt.Errorf("%d wrong:\n  %s", len(v.wrong), strings.Join(v.wrong, "\n  "))
	}
	if !benchmarks {
		fmt.Printf("vm: ok, %d tests passed\n", v.passed)
	}
	return nil
}
