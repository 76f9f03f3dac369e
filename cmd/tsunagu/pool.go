package main

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// poolView is a pool in the answers for programs.
type poolView struct {
	Name    string `json:"name"`
	CIDR    string `json:"cidr"`
	Domain  string `json:"domain"`
	Network string `json:"network,omitempty"`
	Gateway string `json:"gateway,omitempty"`
	Total   int64  `json:"total"`
	Used    int64  `json:"used"`
	Free    int64  `json:"free"`
	Static  int64  `json:"static"`
	Blocks  int64  `json:"blocks"`
	// Conflicts are addresses in quarantine because strangers use them.
	Conflicts int64 `json:"conflicts"`
}

func viewPools(s *doctor.Snapshot) []poolView {
	all := []poolView{}
	for _, p := range s.Pools {
		all = append(all, viewPool(p))
	}
	slices.SortFunc(all, func(a, b poolView) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func viewPool(p v1alpha1.IPPool) poolView {
	return poolView{Name: p.Name, CIDR: p.Spec.CIDR, Domain: cmp.Or(p.Spec.Domain, ipam.DefaultDomain), Network: p.Labels[v1alpha1.NetworkLabel], Gateway: p.Spec.Gateway,
		Total: p.Status.Total, Used: p.Status.Used, Free: p.Status.Free, Static: p.Status.Static, Blocks: p.Status.Blocks, Conflicts: p.Status.Conflicts}
}

// round writes numbers that nobody reads to the last digit, as those of IPv6
// subnets, by their size.
func round(n int64) string {
	if n < 1e9 {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatFloat(float64(n), 'e', 1, 64)
}

func printPools(w io.Writer, t terminal, pools []poolView) {
	rows := table{header: []string{"POOL", "CIDR", "DOMAIN", "GATEWAY", "USED", "FREE", "TOTAL", "STATIC", "BLOCKS", "CONFLICTS"}, width: t.width(), spare: []string{"BLOCKS", "STATIC", "DOMAIN", "GATEWAY", "TOTAL"}}
	for _, p := range pools {
		rows.add(p.Name, p.CIDR, p.Domain, p.Gateway, p.Used, round(p.Free), round(p.Total), p.Static, p.Blocks, some(p.Conflicts))
	}
	rows.dropEmpty("CONFLICTS")
	rows.print(w, "no pools")
}

// some is a number, and nothing for none.
func some(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
