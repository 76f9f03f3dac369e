package plan

import (
	"fmt"
	"testing"
	"time"
)

// large is a cluster of 1000 nodes and 50 networks, half of which each node was given up to eight cards of, with as many Pods waiting as are looked at.
func large(most int) World {
	w := World{Now: time.Unix(1_800_000_000, 0)}
	for i := range 50 {
		w.Networks = append(w.Networks, Network{Name: fmt.Sprint("net", i), Most: most, Idle: 10 * time.Minute})
	}
	for i := range 1000 {
		n := Node{Name: fmt.Sprint("node", i), Usable: true, Has: map[string]bool{}}
		for j := range i % 9 {
			name := fmt.Sprint("net", (i+3*j)%25)
			n.Cards, n.Has[name] = append(n.Cards, Card{Network: name}), true
		}
		w.Nodes = append(w.Nodes, n)
	}
	for i := range 200 {
		p := Pod{Name: fmt.Sprint("pod", i), Networks: []string{fmt.Sprint("net", i%50), fmt.Sprint("net", 25+i%25)}, On: map[string]bool{}}
		for _, n := range w.Nodes {
			p.On[n.Name] = true
		}
		w.Waiting = append(w.Waiting, p)
	}
	return w
}

// A round of the planner in a large cluster, without and with a limit of nodes.
func BenchmarkLargeCluster(b *testing.B) {
	for name, most := range map[string]int{"no limit": 0, "limit": 500} {
		w := large(most)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if len(New().Next(w)) == 0 {
					b.Fatal("nothing to do")
				}
			}
		})
	}
}
