package bench

import (
	"context"
	"fmt"
	"time"
)

// Wide are the figures of Pods with many networks beside Pods with none, both attached by our side: what four more interfaces cost.
type Wide struct {
	Pairs    int                `json:"pairs"`
	Add      map[string]Summary `json:"add"` // by wideSides
	Del      map[string]Summary `json:"del"`
	AddRatio Ratio              `json:"addRatio"`
	DelRatio Ratio              `json:"delRatio"`
	Stages   []Stage            `json:"stages,omitempty"`
}

// The two kinds of Pods.
const (
	wideSide   = "eth0 + 4 macvlan"
	narrowSide = "eth0 alone"
)

// wideNetworks are four macvlan interfaces on two uplinks.
const wideNetworks = "bench-a, bench-b, bench-a, bench-b"

// Wide attaches and detaches one Pod with five interfaces, then one with eth0 alone, and so on.
func (w *World) Wide(ctx context.Context, o Options) (*Wide, error) {
	w.say("Pods with five interfaces and with one: %d pairs", o.Pairs)
	sides := []*Contender{}
	for _, kind := range []struct {
		name, pod, networks string
		interfaces          []string
	}{
		{wideSide, "wide", wideNetworks, []string{"eth0", "net1", "net2", "net3", "net4"}},
		{narrowSide, "narrow", "", []string{"eth0"}},
	} {
		side := *w.contender(Ours)
		side.Name, side.interfaces = kind.name, kind.interfaces
		for i := range turns {
			p, err := w.api.pod(ctx, fmt.Sprintf("%s-%02d", kind.pod, i), nodeName, kind.networks)
			if err != nil {
				return nil, fmt.Errorf("making Pods: %w", err)
			}
			side.pods = append(side.pods, p)
		}
		sides = append(sides, &side)
	}
	if _, _, err := w.sequential(ctx, sides, 3, o.Gap); err != nil {
		return nil, err
	}
	stages := w.agent.stages(ctx)
	add, del, err := w.sequential(ctx, sides, o.Pairs, o.Gap)
	if err != nil {
		return nil, err
	}
	f := &Wide{Pairs: o.Pairs, Add: map[string]Summary{}, Del: map[string]Summary{}, Stages: since(w.agent.stages(ctx), stages),
		AddRatio: ratio(add[wideSide], add[narrowSide]), DelRatio: ratio(del[wideSide], del[narrowSide])}
	for _, c := range sides {
		f.Add[c.Name], f.Del[c.Name] = add[c.Name].Summary(), del[c.Name].Summary()
	}
	time.Sleep(time.Second) // what is put off is nobody else's
	return f, nil
}
