package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tsunagu-net/tsunagu/reconcile"
)

// trace runs a loop and notes when its passes begin. outcome gives the error of the n-th pass.
type trace struct {
	*reconcile.Loop
	begun []time.Duration
	start time.Time
}

func run(t *testing.T, o reconcile.Options, outcome func(n int) error) *trace {
	tr := &trace{start: time.Now()}
	tr.Loop = reconcile.New(o, slog.New(slog.DiscardHandler), func(context.Context) error {
		tr.begun = append(tr.begun, time.Since(tr.start))
		return outcome(len(tr.begun))
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- tr.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the end of the context is an error: %v", err)
		}
	})
	return tr
}

// passes are when they began so far.
func (tr *trace) passes() []time.Duration {
	synctest.Wait()
	return tr.begun
}

func ready(tr *trace) bool {
	select {
	case <-tr.Ready():
		return true
	default:
		return false
	}
}

func TestAuditsWithoutKicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := run(t, reconcile.Options{Audit: time.Minute}, func(int) error { return nil })
		time.Sleep(10*time.Minute + time.Second)
		if n := len(tr.passes()); n < 9 || n > 12 {
			t.Errorf("%d passes in ten minutes, want about ten", n)
		}
		if !ready(tr) {
			t.Error("not ready after a pass")
		}
	})
}

func TestKicksBecomeOnePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := run(t, reconcile.Options{Audit: -1, Settle: 20 * time.Millisecond}, func(int) error { return nil })
		synctest.Wait()
		for range 15 {
			tr.Kick()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Hour)
		if len(tr.passes()) != 2 {
			t.Errorf("passes at %v, want the first and one more", tr.passes())
		}
		if last := tr.passes()[len(tr.passes())-1]; last > 21*time.Millisecond {
			t.Errorf("the pass came after %v", last)
		}
	})
}

func TestEndlessKicksAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := run(t, reconcile.Options{Audit: -1, Spacing: 100 * time.Millisecond}, func(int) error { return nil })
		time.Sleep(time.Hour)
		for range 1000 {
			tr.Kick()
			time.Sleep(time.Millisecond)
		}
		if n := len(tr.passes()); n < 10 || n > 12 || tr.passes()[1] != time.Hour {
			t.Errorf("passes at %v, want one at once and then ten a second", tr.passes())
		}
	})
}

// A kick while a pass runs leads to another pass: the running one may have looked already.
func TestKickDuringPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := run(t, reconcile.Options{Audit: -1}, func(int) error { time.Sleep(time.Second); return nil })
		time.Sleep(500 * time.Millisecond)
		tr.Kick()
		time.Sleep(time.Minute)
		if len(tr.passes()) != 2 || tr.passes()[1] != time.Second {
			t.Errorf("passes at %v, want at 0 s and 1 s", tr.passes())
		}
	})
}

func TestFailuresBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		tr := run(t, reconcile.Options{Audit: -1, Backoff: time.Second, BackoffMax: 4 * time.Second}, func(n int) error {
			if n <= 5 {
				return broken
			}
			return nil
		})
		time.Sleep(14 * time.Second)
		if s := tr.Status(); !errors.Is(s.Err, broken) || s.Failures != 5 || ready(tr) {
			t.Errorf("status %+v, ready %v while broken", s, ready(tr))
		}
		time.Sleep(time.Minute)
		want := []time.Duration{0, 1, 3, 7, 11, 15}
		if len(tr.passes()) != len(want) {
			t.Fatalf("passes at %v", tr.passes())
		}
		for i, at := range tr.passes() {
			if at != want[i]*time.Second {
				t.Errorf("pass %d at %v, want %v s", i, at, want[i])
			}
		}
		if s := tr.Status(); s.Err != nil || s.Failures != 0 || s.Passes != 6 || !ready(tr) {
			t.Errorf("status %+v after it worked", s)
		}
	})
}

// Kicks shorten a long delay, but many kicks are not many failures.
func TestKicksDoNotHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := run(t, reconcile.Options{Audit: -1, Backoff: time.Second, BackoffMax: time.Hour}, func(n int) error { return errors.New("broken") })
		for range 100 {
			tr.Kick()
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(tr.passes()); n < 8 || n > 11 {
			t.Errorf("%d passes in 10 s of kicks, want about one a second", n)
		}
	})
}

func TestWaitingIsNeitherFailureNorSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := run(t, reconcile.Options{Audit: time.Minute}, func(n int) error {
			if n == 1 {
				return reconcile.Waiting("the node has no address yet")
			}
			return nil
		})
		time.Sleep(30 * time.Second)
		if s := tr.Status(); s.Failures != 0 || s.Err == nil || ready(tr) || len(tr.passes()) != 1 {
			t.Errorf("status %+v, ready %v, passes %v", s, ready(tr), tr.passes())
		}
		tr.Kick()
		synctest.Wait()
		if !ready(tr) {
			t.Error("not ready after the kick")
		}
	})
}

func TestDoorStopsAtTheFirstError(t *testing.T) {
	blind := errors.New("cannot see")
	d := reconcile.Door[int, int]{
		Observe: func(context.Context) (int, error) { return 20, nil },
		Plan:    func(s int) int { return s + 1 },
		Apply: func(_ context.Context, p int) error {
			if p != 21 {
				t.Errorf("applied %d", p)
			}
			return nil
		},
	}
	if err := d.Pass(t.Context()); err != nil {
		t.Error(err)
	}
	d.Observe = func(context.Context) (int, error) { return 0, blind }
	d.Apply = func(context.Context, int) error { t.Error("applied blindly"); return nil }
	if err := d.Pass(t.Context()); !errors.Is(err, blind) {
		t.Errorf("error is %v", err)
	}
}

func TestPicture(t *testing.T) {
	var p reconcile.Picture[[]int]
	if _, complete := p.Get(); complete {
		t.Error("complete before anything was told")
	}
	p.Set(nil) // nothing wanted is a complete picture too
	if _, complete := p.Get(); !complete {
		t.Error("incomplete after all was told")
	}
}
