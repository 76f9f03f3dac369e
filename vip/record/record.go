package record

import "time"

// Record is what all nodes read and write.
type Record struct {
	// Version is that of the read or the last write, "" for a record that is not there. A write must name it.
	Version string
	// Holder is who has it, "" for nobody.
	Holder string
	// Duration is for how long others wait after they have seen a write.
	Duration time.Duration
	// Acquired and Renewed are by the writer's clock, for people; nobody decides by them. In what is to be written, zero
	// stands for the time of the write; in one that nobody has, Acquired is zero until somebody had it.
	Acquired, Renewed time.Time
	// Transitions counts holders.
	Transitions int
}

// Answer is what came of a question.
type Answer struct {
	// Record is what was read, or is there after the write.
	Record Record
	// Err is why it could not be read or written: it may have been written all the same. Stale is set when another write came before.
	Err   error
	Stale bool
}
