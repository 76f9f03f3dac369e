package doctor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// trouble is what somebody told in a field report, the check that names it, and the diagnosis that makes it from its inputs.
type trouble struct {
	report       int
	told         string
	code, replay string
}

var troubles = []trouble{
	{0, "no line but “no node group config”: neither size was set", "TSU7001", "no size"},
	{0, "that line, and auto-discovery suspected", "TSU7016", "no group, and why"},
	{0, "auto-discovery is not the cause, or is", "TSU7019", "excluded"},
	{0, "the provider publishes no capacity", "TSU7004", "not sized"},
	{0, "a memory annotation that does not parse, not one line in the log", "TSU7005", "500mb"},
	{0, "the autoscaler counts fewer groups than there are", "TSU7023", "one not counted"},
	{0, "the labels annotation is read from 1.27.1 on, the chart brought 1.26.2", "TSU7007", "1.26.2"},
	{0, "no node matches the Pod's affinity", "TSU7024", "selected and not there"},
	{0, "Cluster API 1.3.3 gives the node no label", "TSU7011", "1.3.3"},
	{0, "replicas cannot be spread over hosts of nodes that are not there yet", "TSU7025", "host not promised"},
	{0, "policy does not reach additional interfaces", "TSU7210", "of these Pods"},
	{1, "host-local counts by node", "TSU7301", "by node"},
	{1, "ranges split by hand in files of the nodes", "TSU7304", "overlapping"},
	{1, "a config in the object takes the place of the files", "TSU7304", "split, and not read"},
	{1, "a fixed address outside the range hangs without a word", "TSU7305", "not in range"},
	{1, "a fixed address for a Deployment", "TSU7307", "three"},
	{1, "static is not among the binaries", "TSU7308", "no static"},
	{1, "dhcp needs a daemon", "TSU7311", "no daemon"},
	{2, "the lease is forbidden to admin.conf from 1.29 on", "TSU7401", "1.29"},
	{2, "super-admin.conf is on the first node only", "TSU7402", "super-admin"},
	{2, "Cilium waits for kube-vip waits for Services", "TSU7404", "each waits"},
	{3, "flanneld's key in etcd", "TSU7505", "not found"},
	{3, "servers told not to answer ARP are silent to their own guests", "TSU7501", "all interfaces"},
}

// Every trouble has a check, and a case that makes it.
func TestEveryTroubleIsDiagnosed(t *testing.T) {
	for _, told := range troubles {
		if !slices.ContainsFunc(diagnoses, func(d diagnosis) bool { return d.code == told.code && d.name == told.replay && len(d.want) > 0 }) {
			t.Errorf("field report %d, %s: there is no diagnosis %s %q", told.report, told.told, told.code, told.replay)
		}
	}
}

// fieldReports is the table of docs/doctor.md.
func fieldReports() string {
	var out strings.Builder
	out.WriteString("\n## Troubles of the field\n\nWhat operators told, the check that names it, and the test that makes it from its inputs.\n\n| report | trouble | check | test |\n|---|---|---|---|\n")
	for _, told := range troubles {
		fmt.Fprintf(&out, "| %d | %s | [%s](#%s) | `TestDiagnoses/%s_%s` |\n", told.report, told.told, told.code, strings.ToLower(told.code), told.code, strings.ReplaceAll(told.replay, " ", "_"))
	}
	return out.String()
}
