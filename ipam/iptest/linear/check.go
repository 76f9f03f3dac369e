package linear

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Op is one call about one address: a take that was answered with it, or a free
// of it. A take whose answer is not known may have had an address that nobody
// was told of; it is no Op, and whoever it was for frees all that it may have.
type Op struct {
	Client int
	Place  string // domain and address
	Holder string
	Free   bool
	// Begin and End of the call; an End of -1 means that it never ended, and
	// may have had its effect at any time after Begin.
	Begin, End time.Duration
}

type input struct {
	holder string
	free   bool
}

// register is the model: an address has one holder or none. A free by who does
// not hold it is without effect, as Free of an unknown key is.
func register() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, in, _ any) (bool, any) {
			holder, i := state.(string), in.(input)
			switch {
			case i.free && holder == i.holder:
				return true, ""
			case i.free:
				return true, holder
			}
			return holder == "" || holder == i.holder, i.holder
		},
		DescribeOperation: func(in, _ any) string { return fmt.Sprintf("%+v", in) },
	}
}

// Check says of which addresses the history is not linearizable; undecided are
// those for which it took too long to find out.
func Check(ops []Op, most time.Duration) (wrong, undecided []string) {
	by := map[string][]porcupine.Operation{}
	for _, o := range ops {
		end := int64(o.End)
		if o.End < 0 {
			end = math.MaxInt64
		}
		by[o.Place] = append(by[o.Place], porcupine.Operation{ClientId: o.Client, Input: input{o.Holder, o.Free}, Call: int64(o.Begin), Return: end})
	}
	for place, history := range by {
		switch porcupine.CheckOperationsTimeout(register(), history, most) {
		case porcupine.Illegal:
			wrong = append(wrong, place)
		case porcupine.Unknown:
			undecided = append(undecided, place)
		}
	}
	slices.Sort(wrong)
	slices.Sort(undecided)
	return wrong, undecided
}
