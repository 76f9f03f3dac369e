// Package reference has the reference plugins of the CNI project at hand for tests that hold ours against them: those of the
// distribution, and the newest, which are built from their own module and kept in the user's cache.
//
// It owns where they are and which version the newest is. It does not know what is compared. Start at Newest.
package reference
