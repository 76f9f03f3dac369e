// Package delegate executes CNI plugins of others, one at a time, with everything that the specification has them told.
//
// It owns finding the binary in the node's folders, what stands in its environment and on its standard input, how long it may take, and
// that what it prints makes sense. It does not know network attachment definitions, and keeps nothing: results are the caller's to keep.
//
// A plugin is a stranger: it may hang, crash, print nonsense, or leave children behind. It runs in a process group of its own that is
// killed when its time is over, and its output is bounded.
//
// Start at Runner, then Call.
package delegate
