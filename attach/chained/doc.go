// Package chained changes interfaces that are there already, as the plugins behind the first of a CNI list do: each works on what those
// before it have made (prevResult).
//
// It owns the built-in types, their configuration and how they are taken back. It does not know who made the interface (attach/kind or
// a plugin of others), where addresses come from, nor what a network attachment definition is.
//
// Start at Parse, then Runner.
package chained
