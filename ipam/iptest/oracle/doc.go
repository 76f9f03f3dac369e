// Package oracle judges histories of address use: was an address ever used by
// two at once, and is what is allocated at the end exactly what somebody uses.
// Every tier of tests asks it: the simulation, the named properties, the bench
// and the chaos of the lab.
//
// A tier writes down Uses as it sees them, from the answer to an ADD to the
// begin of the DEL: at least then the interface has the address. Inside one
// process a History does it; many processes each write one with Write, and
// Read joins them. The oracle does not know how addresses are given out.
//
// Start at Use, Duplicates and Settled.
package oracle
