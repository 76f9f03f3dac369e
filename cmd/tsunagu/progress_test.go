package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// What is quick is silent; what is not says what it does, once a step.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		p := terminal{out: nil, err: &said}.watch("asking")
		time.Sleep(patience / 2)
		p.end()
		if said.Len() > 0 {
			t.Errorf("said %q of something quick", said.String())
		}

		p = terminal{out: nil, err: &said}.watch("asking")
		time.Sleep(patience + time.Second)
		p.now("reading pods")
		time.Sleep(time.Second)
		p.end()
		if said.String() != "asking …\nreading pods …\n" {
			t.Errorf("said %q", said.String())
		}
	})
}
