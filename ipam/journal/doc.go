// Package journal keeps records that must survive a crash of the process: a
// log of Put and Delete that is only appended to, and a map of what is there.
//
// It owns one file and the lock beside it, so that one process has it. A
// record is in the file when Put returns. It does not know what records mean.
// On a tmpfs they live until the next boot, which suits what a boot destroys;
// elsewhere Options.Sync makes them survive a power cut as well.
//
// Start at Open.
package journal
