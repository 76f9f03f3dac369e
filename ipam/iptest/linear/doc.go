// Package linear drives allocators of several nodes at once, notes when each
// call began and ended, and asks porcupine whether the history is linearizable:
// whether each address was, at some moment within each call, a lock that was
// taken by one and freed by the same. It runs on the store in memory and on a
// real API server. Start at Drive and Check.
package linear
