// Package plan decides which virtual machine is given a network card for which
// Network, and when one is taken away again. It owns the decision and what must
// be remembered for it; it makes no call and keeps no time: what is there and
// when goes in, steps come out. Everything that must survive a crash is in what
// goes in. Start reading at Planner.Next.
package plan
