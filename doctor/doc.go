// Package doctor says what is wrong with tsunagu in a cluster, what it breaks
// and what to do about it.
//
// It owns the checks, one file per check, and the codes people and programs
// know them by: a code never changes its meaning. A check is a pure function
// over a Snapshot of what was read beforehand; the package reads nothing
// itself, changes nothing and knows neither client-go nor the kernel. Start
// reading at Check, then at any file named after what it finds.
package doctor

//go:generate go test -run TestDocs -update .
