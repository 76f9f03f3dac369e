package clock

import (
	"testing"
	"time"
)

func TestBoot(t *testing.T) {
	a, began := Boot(), time.Now()
	time.Sleep(2 * time.Millisecond)
	if passed, want := Boot()-a, time.Since(began); passed <= 0 || passed > want+time.Millisecond {
		t.Errorf("%v passed, and %v by the other clock", passed, want)
	}
}
