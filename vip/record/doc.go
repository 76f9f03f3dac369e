// Package record decides who owns by a record that all nodes read and write, each write naming the version that it replaces: the Lease object that
// kube-vip's nodes agree by, so that nodes change from one to the other one at a time.
//
// It owns the rules: when the record may be taken, for how long that lets a node own, and what is asked of the record next. It is a pure state machine,
// time and answers in, questions out. It does not know where the record is kept (cmd/tsunagu-vip asks the API server) nor what is owned.
//
// Who takes a record over waits until it has seen no write of it for the record's duration; who writes it owns until that long after it began to
// write, and no longer: before anybody else can have taken it, whatever was lost or stood still. kube-vip's nodes keep the first half of that.
//
// Start at New, then Machine.Tick.
package record
