package bench

import (
	"fmt"
	"strings"
	"testing"
)

const before = `# HELP tsunagu_cni_stage_seconds x
tsunagu_cni_stage_seconds_sum{stage="wire"} 1
tsunagu_cni_stage_seconds_count{stage="wire"} 10
tsunagu_other_seconds_sum 4
tsunagu_other_seconds_count 4
go_gc_duration_seconds_sum 1
`

const after = `tsunagu_cni_stage_seconds_bucket{stage="wire",le="+Inf"} 30
tsunagu_cni_stage_seconds_sum{stage="wire"} 1.05
tsunagu_cni_stage_seconds_count{stage="wire"} 30
tsunagu_cni_stage_seconds_sum{stage="new"} 0.002
tsunagu_cni_stage_seconds_count{stage="new"} 1
tsunagu_other_seconds_sum 4
tsunagu_other_seconds_count 4
`

func TestStages(t *testing.T) {
	have := since(readStages(strings.NewReader(after)), readStages(strings.NewReader(before)))
	text := ""
	for _, s := range have {
		text += fmt.Sprintf("%s %.0f %.3f\n", s.Name, s.Count, s.Mean)
	}
	want := "tsunagu_cni_stage{stage=\"new\"} 1 2.000\ntsunagu_cni_stage{stage=\"wire\"} 20 2.500\n"
	if text != want {
		t.Errorf("have:\n%swant:\n%s", text, want)
	}
}
