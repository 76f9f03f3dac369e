// Package node knows what one node has: its interfaces, and which Networks are
// really there. It owns the judgement, Judge, and the loop that keeps it
// current, Watch. It does not know how interfaces are read, who is told, or
// that labels and scheduling follow. Start reading at Judge.
package node
