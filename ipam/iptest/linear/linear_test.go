package linear_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/linear"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// flaky loses calls and answers, in real time.
func flaky(ctx context.Context, c iptest.Call, deed func() error) error {
	time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
	switch rand.IntN(40) {
	case 0:
		return errors.New("connection reset by peer")
	case 1:
		_ = deed()
		return errors.New("connection reset by peer")
	}
	err := deed()
	time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
	return err
}

func drive(log func(ipam.Log) ipam.Log) ([]linear.Op, []oracle.Use) {
	store := iptest.NewStore()
	store.Through(flaky)
	return linear.Drive(linear.Config{Store: func(life string) ipam.Store { return store.As(life) }, Domain: "linear", Nodes: 4, Each: 4, Time: 3 * time.Second, Seed: 7, Log: log})
}

// Histories of allocators that run at once, with crashes and writes of unknown
// outcome, are those of locks.
func TestHistoriesAreLinearizable(t *testing.T) {
	ops, uses := drive(nil)
	wrong, undecided := linear.Check(ops, 10*time.Second)
	duplicates := oracle.Duplicates(uses)
	if len(wrong)+len(undecided)+len(duplicates) > 0 {
		t.Errorf("not linearizable %v, undecided %v, duplicates %v", wrong, undecided, duplicates)
	}
	if len(ops) < 50 {
		t.Errorf("only %d calls", len(ops))
	}
	t.Logf("%d calls", len(ops))
}

// amnesiac forgets what was given out.
type amnesiac struct{ ipam.Log }

func (a amnesiac) Put(string, []byte) error { return nil }

func TestCheckFindsWhatTheOracleFinds(t *testing.T) {
	// It matters only when an agent crashes while addresses are held, which on
	// a busy machine may not happen in the first few seconds.
	calls := 0
	for range 10 {
		ops, uses := drive(func(l ipam.Log) ipam.Log { return amnesiac{l} })
		wrong, _ := linear.Check(ops, 10*time.Second)
		if len(wrong) > 0 && len(oracle.Duplicates(uses)) > 0 {
			return
		}
		calls += len(ops)
	}
	t.Errorf("an agent that forgets is not found in %d calls", calls)
}

func TestCheck(t *testing.T) {
	take := func(client int, holder string, begin, end time.Duration) linear.Op {
		return linear.Op{Client: client, Place: "x", Holder: holder, Begin: begin, End: end}
	}
	free := func(client int, holder string, begin, end time.Duration) linear.Op {
		o := take(client, holder, begin, end)
		o.Free = true
		return o
	}
	for name, c := range map[string]struct {
		ops []linear.Op
		ok  bool
	}{
		"one after the other":              {[]linear.Op{take(1, "a", 0, 1), free(1, "a", 2, 3), take(2, "b", 4, 5)}, true},
		"two at once":                      {[]linear.Op{take(1, "a", 0, 1), take(2, "b", 4, 5), free(1, "a", 6, 7)}, false},
		"the free may have been first":     {[]linear.Op{take(1, "a", 0, 1), free(1, "a", 2, 6), take(2, "b", 4, 5)}, true},
		"a free that never ended":          {[]linear.Op{take(1, "a", 0, 1), free(1, "a", 2, -1), take(2, "b", 4, 5)}, true},
		"a free by somebody else":          {[]linear.Op{take(1, "a", 0, 1), free(3, "c", 2, 3), take(2, "b", 4, 5)}, false},
		"again by the same":                {[]linear.Op{take(1, "a", 0, 1), take(1, "a", 2, 3)}, true},
		"taken before the free that began": {[]linear.Op{take(1, "a", 0, 1), take(2, "b", 2, 3), free(1, "a", 4, 5)}, false},
	} {
		wrong, undecided := linear.Check(c.ops, time.Second)
		if len(undecided) > 0 || (len(wrong) == 0) != c.ok {
			t.Errorf("%s: wrong %v, undecided %v", name, wrong, undecided)
		}
	}
}
