package reconcile

import "context"

// Door is a pass in three steps of which only the middle one decides.
type Door[State, Plan any] struct {
	// Observe reads the whole state, or fails; never half of it.
	Observe func(context.Context) (State, error)
	// Plan is pure: the same state gives the same plan.
	Plan func(State) Plan
	// Apply carries a plan out. Being handed one twice, or one that is done already, is fine.
	Apply func(context.Context, Plan) error
}

// Pass goes through the door once.
func (d Door[State, Plan]) Pass(ctx context.Context) error {
	state, err := d.Observe(ctx)
	if err != nil {
		return err
	}
	return d.Apply(ctx, d.Plan(state))
}
