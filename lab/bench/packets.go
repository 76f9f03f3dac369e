package bench

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// packetsBenchmark is a benchmark of the product's own that makes two nodes for each way between them and measures in turns; its test
// binary is built with the other programs.
const packetsBenchmark, packetsTest = "AcrossNodes", "overlay.test"

// Packets runs it and gives its lines: throughput, round trips and processor time per GB between Pods of two nodes, ours beside plain
// routes and beside VXLAN with forwarding entries.
func (w *World) Packets(ctx context.Context, o Options) ([]string, error) {
	w.say("packets between two nodes: %d rounds", o.Rounds)
	cmd := exec.CommandContext(ctx, filepath.Join(w.programs.Product, packetsTest),
		"-test.run=^$", "-test.bench="+packetsBenchmark, fmt.Sprintf("-test.benchtime=%dx", o.Rounds))
	cmd.Dir = filepath.Join(o.Root, "overlay")
	cmd.Env = []string{defaultPath, "HOME=/root", "TMPDIR=" + o.Work}
	out, err := cmd.CombinedOutput()
	lines := packetLines(out)
	if err == nil && len(lines) == 0 {
		err = fmt.Errorf("there is no benchmark %s in overlay", packetsBenchmark)
	}
	if err != nil {
		return nil, fmt.Errorf("measuring packets between nodes: %w\n%s", err, bytes.TrimSpace(out))
	}
	return lines, nil
}

// packetLines are what the benchmark logged, without the places in its source.
func packetLines(out []byte) (lines []string) {
	for line := range strings.Lines(string(out)) {
		if place, text, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && strings.Contains(place, "_test.go:") {
			lines = append(lines, "  "+strings.TrimSpace(text))
		}
	}
	return lines
}
