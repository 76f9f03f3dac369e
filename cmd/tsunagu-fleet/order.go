package main

import "time"

// order is one thing to do to the nodes.
type order struct {
	// Do is pool, add, del, fill, live, turn, open, race, wait, recover, settle or reset: see driver.carryOut.
	Do   string `json:"do"`
	Side string `json:"side"`
	// Pool is the name of a pool, CIDR its subnet (order pool). Its address space is what stands before the first dash: pools "a-1" and
	// "a-2" share one.
	Pool string `json:"pool,omitempty"`
	CIDR string `json:"cidr,omitempty"`
	// Count is how many calls, Flight how many of them at once, Rate how many begin per second.
	Count  int     `json:"count,omitempty"`
	Flight int     `json:"flight,omitempty"`
	Rate   float64 `json:"rate,omitempty"`
	// Seconds is how long an order without a count goes on.
	Seconds float64 `json:"seconds,omitempty"`
	// Node is the only node that is used, counted from 1; 0 means all in turn.
	Node int `json:"node,omitempty"`
	// IPs are static addresses to ask for, one per call, in turn.
	IPs []string `json:"ips,omitempty"`
}

func (q order) duration() time.Duration { return time.Duration(q.Seconds * float64(time.Second)) }

// answer is what came of an order.
type answer struct {
	Word  string `json:"word,omitempty"`
	Error string `json:"error,omitempty"`
	// Calls by verb ("ADD", "DEL").
	Calls map[string]*calls `json:"calls,omitempty"`
	// WallMS is how long all of it took.
	WallMS float64 `json:"wallms"`
	// Held is how many interfaces have an address after it.
	Held int `json:"held"`
	// Lives is how many interfaces came and went.
	Lives int `json:"lives,omitempty"`
	// Duplicates and Leaks are the oracle's judgement (order settle).
	Duplicates []string `json:"duplicates,omitempty"`
	Leaks      []string `json:"leaks,omitempty"`
}

// calls are those of one verb.
type calls struct {
	OK     int            `json:"ok"`
	Failed map[string]int `json:"failed,omitempty"` // by reason
	First  []string       `json:"first,omitempty"`  // the first few errors
	Micros []int64        `json:"micros,omitempty"` // how long each took that went well
	Refuse []int64        `json:"refuse,omitempty"` // and each that did not
}
