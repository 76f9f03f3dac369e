// Package reconcile runs a room's work: look, decide, do, again and again, until the context ends.
//
// It owns when a pass happens (at a kick, at an audit, after a failure with growing delay), what is known about the last ones, and the
// rule that nothing is pruned before the first complete picture of what is wanted. It does not know what a pass is about.
//
// Start at Loop; Door is the usual shape of a pass, Picture holds what is wanted.
package reconcile
