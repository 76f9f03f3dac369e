// Package pool decides when a node pool that has networks gets another machine,
// and when one of its machines goes. It owns the decision only: what is there
// goes in, what to do comes out, and all that must survive a crash is in what
// goes in. It does not know Cluster API, Pods' requirements, or who scales a
// pool that is not tsunagu's. Start reading at Grow, then Shrink.
package pool
