package bench

import (
	"strings"
	"testing"
)

const packetsOutput = `goos: linux
BenchmarkAcrossNodes-2   	       1	         1.1 gpe/plain-cpu/GB
--- BENCH: BenchmarkAcrossNodes-2
    bench_test.go:124: gpe/plain throughput 0.91 (middle half 0.90 to 0.93 of 10 rounds)
    bench_test.go:129: gpe     9.10 Gbit/s   30.0 µs   0.70 CPU s/GB
PASS
`

func TestPacketLines(t *testing.T) {
	have := strings.Join(packetLines([]byte(packetsOutput)), "\n")
	want := "  gpe/plain throughput 0.91 (middle half 0.90 to 0.93 of 10 rounds)\n  gpe     9.10 Gbit/s   30.0 µs   0.70 CPU s/GB"
	if have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
}
