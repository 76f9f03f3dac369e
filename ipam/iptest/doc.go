// Package iptest helps to test what rests on ipam's Store and Log: a Store in
// memory that behaves like the API server, a Log in memory, and the suite that
// a Store must pass, to be run on the fake and on the real one.
//
// It knows nothing of the API server. Start at Store and Conform.
package iptest
