package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// scenario is one way to load a side.
type scenario struct {
	name string
	do   func(context.Context, *addressRound) error
}

// scenarios are those of the plan in the research (ipam.md, section 7), with sizes that each side can bear.
var scenarios = []scenario{
	{"burst", burst}, {"shared", shared}, {"churn", churn}, {"full", full}, {"overlap", overlap},
	{"static", static}, {"outage", outage}, {"capacity", capacity},
	{"flat", flat}, // the last: its blocks go back for a while after
}

// burst (S1, S2): 200 ADDs, 50 at once, on a /16, and their DELs: first when no node has a block, then when all have.
func burst(ctx context.Context, r *addressRound) error {
	pool, err := r.pool(ctx, "burst", "10.1.0.0/16")
	if err != nil {
		return err
	}
	count, rounds := pick(r, 200, 60), pick(r, 8, 1)
	if r.quick {
		count, rounds = pick(r, 200, 20), 1
	}
	if r.ours() {
		if _, err := r.measured(ctx, "ADD", order{Do: "add", Pool: pool, Count: count, Flight: 50}); err != nil {
			return err
		}
		c := r.cell("ADD")
		cold := *c
		cold.What = "first ADD"
		r.renamed(c, cold)
		if _, err := r.measured(ctx, "DEL", order{Do: "del", Pool: pool, Flight: 50}); err != nil {
			return err
		}
		time.Sleep(3 * time.Second) // the counts of the blocks are written
	}
	for range rounds {
		if _, err := r.measured(ctx, "ADD", order{Do: "add", Pool: pool, Count: count, Flight: 50}); err != nil {
			return err
		}
		if _, err := r.measured(ctx, "DEL", order{Do: "del", Pool: pool, Flight: 50}); err != nil {
			return err
		}
	}
	return nil
}

// churn (S3): a /24 that is 80 % full; one goes, one comes.
func churn(ctx context.Context, r *addressRound) error {
	pool, err := r.pool(ctx, "churn", "10.3.0.0/24")
	if err != nil {
		return err
	}
	if _, err := r.untimed(ctx, order{Do: "fill", Pool: pool, Count: 203, Flight: 25}); err != nil {
		return err
	}
	if !r.ours() { // what was written down for others cannot go: it needs some that can
		if _, err := r.untimed(ctx, order{Do: "add", Pool: pool, Count: 10, Flight: 10}); err != nil {
			return err
		}
		_, err = r.measured(ctx, "life", order{Do: "turn", Pool: pool, Count: 20, Flight: 10})
		return err
	}
	_, err = r.measured(ctx, "life", order{Do: "turn", Pool: pool, Seconds: 4, Flight: 20})
	return err
}

// shared (S5): a /28 for 50 nodes. All of it is given out, and as many lives as it goes come and go in it.
func shared(ctx context.Context, r *addressRound) error {
	pool, err := r.pool(ctx, "shared", "10.5.0.0/28")
	if err != nil {
		return err
	}
	if r.ours() { // its region is made once
		if _, err := r.untimed(ctx, order{Do: "live", Pool: pool, Count: 1}); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
	seconds := pick(r, 5., 0)
	_, err = r.measured(ctx, "life", order{Do: "live", Pool: pool, Count: 20, Seconds: seconds, Flight: 10})
	return err
}

// full (S6, S7): every address of a /28 is given out, one more is refused, and who waits has the next that becomes free.
func full(ctx context.Context, r *addressRound) error {
	pool, err := r.pool(ctx, "full", "10.7.0.0/28")
	if err != nil {
		return err
	}
	if _, err := r.measured(ctx, "ADD", order{Do: "add", Pool: pool, Count: usable28, Flight: usable28}); err != nil {
		return err
	}
	held := 0
	for range 20 { // those who were refused come again
		a, err := r.untimed(ctx, order{Do: "wait", Pool: pool, Seconds: 0.1, Node: 50})
		if err != nil {
			return err
		}
		if held = a.Held; held >= usable28 {
			break
		}
	}
	c := r.cell("in use of 14")
	c.OK = held
	if _, err := r.measured(ctx, "one too many", order{Do: "add", Pool: pool, Count: pick(r, 5, 2), Flight: 1}); err != nil {
		return err
	}
	_, err = r.measured(ctx, "recover", order{Do: "recover", Pool: pool, Count: pick(r, 10, 2), Seconds: 30})
	return err
}

// usable28 is the number of addresses that a /28 has for Pods.
const usable28 = 14

// overlap (S8): ADDs in a range whose lowest addresses are others', of a range that overlaps it.
func overlap(ctx context.Context, r *addressRound) error {
	levels := []int{0, 30, 100}
	if r.quick {
		levels = []int{0, 20}
	}
	for _, foreign := range levels {
		small, err := r.pool(ctx, "overlap", "10.8.0.0/24")
		if err != nil {
			return err
		}
		// The same address space: the same name before the dash.
		large := small + "b"
		if _, err := r.untimed(ctx, order{Do: "pool", Pool: large, CIDR: "10.8.0.0/23"}); err != nil {
			return err
		}
		if foreign > 0 {
			if _, err := r.untimed(ctx, order{Do: "fill", Pool: small, Count: foreign, Flight: 10}); err != nil {
				return err
			}
		}
		if _, err := r.measured(ctx, "ADD", order{Do: "add", Pool: large, Count: pick(r, 50, 2), Flight: pick(r, 10, 1)}); err != nil {
			return err
		}
		c := r.cell("ADD")
		at := *c
		at.What = fmt.Sprintf("ADD beside %d", foreign)
		r.renamed(c, at)
	}
	return nil
}

// static (S10): addresses that were asked for: free ones and ones in blocks of other nodes, one by twenty at once, outside the range.
func static(ctx context.Context, r *addressRound) error {
	pool, err := r.pool(ctx, "static", "10.10.0.0/22")
	if err != nil {
		return err
	}
	if r.ours() { // all nodes have blocks
		if _, err := r.untimed(ctx, order{Do: "add", Pool: pool, Count: 2 * fleetNodes, Flight: 10}); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
	var spread, wanted []string
	for i := range pick(r, 60, 6) {
		spread = append(spread, fmt.Sprintf("10.10.%d.%d", i%4, 5+4*i))
	}
	for i := range pick(r, 10, 2) {
		wanted = append(wanted, fmt.Sprintf("10.10.3.%d", 254-i)) // where nobody is yet
	}
	if _, err := r.measured(ctx, "anywhere", order{Do: "add", Pool: pool, Count: len(spread), Flight: 5, IPs: spread}); err != nil {
		return err
	}
	if _, err := r.measured(ctx, "one for 20", order{Do: "race", Pool: pool, Flight: 20, IPs: wanted}); err != nil {
		return err
	}
	_, err = r.measured(ctx, "outside", order{Do: "add", Pool: pool, Count: pick(r, 10, 2), Flight: 1, IPs: []string{"10.99.0.1"}})
	return err
}

// outage (S13): the API server stands still for 5 s.
func outage(ctx context.Context, r *addressRound) error {
	pool, err := r.pool(ctx, "outage", "10.13.0.0/16")
	if err != nil {
		return err
	}
	if r.ours() {
		if _, err := r.untimed(ctx, order{Do: "live", Pool: pool, Count: 2 * fleetNodes, Flight: 10}); err != nil {
			return err
		}
	}
	time.Sleep(time.Second)
	server := r.w.api.server.cmd.Process
	if err := server.Signal(unix.SIGSTOP); err != nil {
		return err
	}
	back := time.AfterFunc(5*time.Second, func() { _ = server.Signal(unix.SIGCONT) })
	defer func() {
		back.Stop()
		_ = server.Signal(unix.SIGCONT)
	}()
	a, err := r.untimed(ctx, order{Do: "live", Pool: pool, Count: 4, Seconds: pick(r, 4., 0), Flight: 4})
	if err != nil {
		return err
	}
	r.cell("ADD").note("ADD", a)
	r.cell("DEL").note("DEL", a)
	time.Sleep(2 * time.Second)
	return nil
}

// capacity (S18): lives that begin at a fixed rate, whatever becomes of the ones before.
func capacity(ctx context.Context, r *addressRound) error {
	pool, err := r.pool(ctx, "capacity", "10.18.0.0/16")
	if err != nil {
		return err
	}
	rates := pick(r, []float64{5, 20, 100, 500, 1000}, []float64{1, 5, 20})
	if r.quick {
		rates = pick(r, []float64{20, 500}, []float64{5})
	}
	if r.ours() {
		if _, err := r.untimed(ctx, order{Do: "live", Pool: pool, Count: 2 * fleetNodes, Flight: 10}); err != nil {
			return err
		}
	}
	for _, rate := range rates {
		a, err := r.measured(ctx, "ADD", order{Do: "open", Pool: pool, Rate: rate, Seconds: pick(r, 3., 3)})
		if err != nil {
			return err
		}
		_ = a
		c := r.cell("ADD")
		at := *c
		at.What = fmt.Sprintf("ADD at %g/s", rate)
		r.renamed(c, at)
	}
	return nil
}

// renamed moves the figures of a row to another, which may have some of an earlier round.
func (r *addressRound) renamed(from *Cell, to Cell) {
	for i, c := range r.Cells {
		if c == from {
			r.Cells = append(r.Cells[:i], r.Cells[i+1:]...)
			break
		}
	}
	for _, c := range r.Cells {
		if c.Scenario == to.Scenario && c.Side == to.Side && c.What == to.What {
			c.join(&to)
			return
		}
	}
	r.Cells = append(r.Cells, &to)
}

// join adds a row to another.
func (c *Cell) join(d *Cell) {
	if c.OK+d.OK > 0 {
		c.CPU, c.ServerCPU, c.Puts = mix(c.CPU, c.OK, d.CPU, d.OK), mix(c.ServerCPU, c.OK, d.ServerCPU, d.OK), mix(c.Puts, c.OK, d.Puts, d.OK)
	}
	c.OK += d.OK
	for k, n := range d.Failed {
		c.Failed[k] += n
	}
	for k, n := range d.Requests {
		c.Requests[k] += n
	}
	for k, n := range d.Histogram {
		c.Histogram[k] += n
	}
	c.First = append(c.First, d.First...)
	c.PerSecond, c.P99 = append(c.PerSecond, d.PerSecond...), append(c.P99, d.P99...)
	c.times, c.refusals = append(c.times, d.times...), append(c.refusals, d.refusals...)
	c.Latency, c.Refused = c.times.Summary(), c.refusals.Summary()
}
