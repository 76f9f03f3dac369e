package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Addresses are the figures of giving out addresses: many nodes, one API server.
type Addresses struct {
	Nodes  int     `json:"nodes"`
	Rounds int     `json:"rounds"`
	Cells  []*Cell `json:"cells"`
	// Duplicates and Leaks are what the oracle found, by side.
	Duplicates map[string][]string `json:"duplicates"`
	Leaks      map[string][]string `json:"leaks"`
}

// Cell is one row of the table: one kind of call in one scenario by one side.
type Cell struct {
	Scenario string `json:"scenario"`
	Side     string `json:"side"`
	// What was called: ADD, DEL, life (an ADD and its DEL; the time is the ADD's), recover; anything else says which ADDs they were.
	What   string         `json:"what"`
	OK     int            `json:"ok"`
	Failed map[string]int `json:"failed,omitempty"`
	First  []string       `json:"firstErrors,omitempty"`
	// Latency is that of calls that went well, Refused of those that did not.
	Latency Summary `json:"latency"`
	Refused Summary `json:"refused,omitzero"`
	// PerSecond is how many went well, one per round.
	PerSecond []float64 `json:"perSecond,omitempty"`
	Requests  Requests  `json:"requests,omitempty"`
	Puts      float64   `json:"etcdPuts"`
	CPU       float64   `json:"cpums"`       // of who asks and who answers on the nodes, per call
	ServerCPU float64   `json:"serverCPUms"` // of API server and etcd, per call
	// Histogram counts the calls that went well by their time in milliseconds, rounded up to a power of two.
	Histogram map[string]int `json:"histogram,omitempty"`

	// P99 is the 99th percentile of each round, in milliseconds.
	P99 []float64 `json:"p99ms,omitempty"`

	times, refusals Sample
}

// counts are the requests by which nodes tell people how much of a block is used, some seconds late. They are no part of an allocation.
var counts = []string{"update ipblocks"}

// writes are what changed at the API server per call that went well, without and only for counts, and the attempts that the API server
// refused, most of them because somebody else was faster.
func (c *Cell) writes() (per, telling, refused float64) {
	n := float64(max(c.OK, 1))
	done := Requests{}
	for key, count := range c.Requests {
		if !strings.Contains(key, "→") {
			done[key] = count
		}
	}
	besides := done.writes(counts...)
	return float64(besides) / n, float64(done.writes()-besides) / n, float64(c.Requests.writes()-done.writes()) / n
}

// reads are the other requests per call that went well.
func (c *Cell) reads() float64 {
	all := 0
	for _, n := range c.Requests {
		all += n
	}
	return float64(all-c.Requests.writes()) / float64(max(c.OK, 1))
}

func (c *Cell) failed() (n int) {
	for _, k := range c.Failed {
		n += k
	}
	return n
}

// round is one scenario in the hands of one side.
type addressRound struct {
	*Addresses
	w        *World
	o        Options
	f        *fleet
	scenario string
	side     string
	round    int
	quick    bool
	pools    []string
}

// ours tells whose turn it is.
func (r *addressRound) ours() bool { return r.side == Ours }

// pick chooses between the sizes that the sides can bear.
func pick[T any](r *addressRound, ours, peer T) T {
	if r.ours() {
		return ours
	}
	return peer
}

// cell finds or makes the row of a call.
func (r *addressRound) cell(what string) *Cell {
	for _, c := range r.Cells {
		if c.Scenario == r.scenario && c.Side == r.side && c.What == what {
			return c
		}
	}
	c := &Cell{Scenario: r.scenario, Side: r.side, What: what, Failed: map[string]int{}, Requests: Requests{}, Histogram: map[string]int{}}
	r.Cells = append(r.Cells, c)
	return c
}

// pool makes a pool for this round. Names before the dash are address spaces.
func (r *addressRound) pool(ctx context.Context, name, cidr string) (string, error) {
	name = fmt.Sprintf("%s%s%d-%s", name[:1], r.side[:1], r.serial(), name)
	_, err := r.f.do(ctx, order{Do: "pool", Side: r.side, Pool: name, CIDR: cidr})
	r.pools = append(r.pools, name)
	return name, err
}

// asked tells whether a user agent is of the nodes that are measured.
func (r *addressRound) asked(agent string) bool {
	if strings.HasPrefix(agent, "tsunagu") {
		return r.ours() && agent != "tsunagu-"+idleName
	}
	return !r.ours()
}

func (r *addressRound) serial() int { r.w.poolsMade++; return r.w.poolsMade }

// untimed gives an order whose figures nobody wants.
func (r *addressRound) untimed(ctx context.Context, q order) (answer, error) {
	q.Side = r.side
	return r.f.do(ctx, q)
}

// measured gives an order and adds what it cost to the row of its calls. What is put off, for a second, counts too.
func (r *addressRound) measured(ctx context.Context, what string, q order) (answer, error) {
	q.Side = r.side
	mark, busy, server := markAudit(), cpuOfAll(r.f.cmd.Process.Pid), r.serverTime()
	puts, err := etcdPuts(ctx)
	if err != nil {
		return answer{}, err
	}
	a, err := r.f.do(ctx, q)
	if err != nil {
		return a, err
	}
	used, serverUsed := cpuOfAll(r.f.cmd.Process.Pid)-busy, r.serverTime()-server
	time.Sleep(time.Second)
	requests, err := mark.sinceOf(r.asked)
	if err != nil {
		return a, err
	}
	after, err := etcdPuts(ctx)
	if err != nil {
		return a, err
	}
	c := r.cell(what)
	ok := c.OK
	c.note(what, a)
	for k, n := range requests {
		c.Requests[k] += n
	}
	if n := c.OK - ok; n > 0 {
		c.CPU = mix(c.CPU, ok, milliseconds(used)/float64(n), n)
		c.ServerCPU = mix(c.ServerCPU, ok, milliseconds(serverUsed)/float64(n), n)
		c.Puts = mix(c.Puts, ok, (after-puts)/float64(n), n)
	}
	return a, nil
}

// mix is the mean of two means.
func mix(a float64, n int, b float64, m int) float64 {
	return (a*float64(n) + b*float64(m)) / float64(n+m)
}

// note adds calls to a row.
func (c *Cell) note(what string, a answer) {
	verb := "ADD"
	if what == "DEL" || what == "recover" {
		verb = what
	}
	from := a.Calls[verb]
	if from == nil {
		return
	}
	ok := from.OK
	if what == "life" {
		ok = a.Lives
	}
	c.OK += ok
	for k, n := range from.Failed {
		c.Failed[k] += n
	}
	for _, e := range from.First {
		if len(c.First) < 3 {
			c.First = append(c.First, e)
		}
	}
	c.times = append(c.times, sample(from.Micros)...)
	c.refusals = append(c.refusals, sample(from.Refuse)...)
	c.Latency, c.Refused = c.times.Summary(), c.refusals.Summary()
	c.P99 = append(c.P99, milliseconds(sample(from.Micros).Quantile(.99)))
	if a.WallMS > 0 {
		c.PerSecond = append(c.PerSecond, float64(ok)/a.WallMS*1000)
	}
	for _, t := range from.Micros {
		bound := 1.
		for bound*1000 < float64(t) {
			bound *= 2
		}
		c.Histogram[fmt.Sprintf("%g", bound)]++
	}
}

func sample(micros []int64) Sample {
	s := make(Sample, len(micros))
	for i, m := range micros {
		s[i] = time.Duration(m) * time.Microsecond
	}
	return s
}

func (r *addressRound) serverTime() time.Duration {
	return cpu(r.w.api.server.cmd.Process.Pid) + cpu(r.w.api.etcd.cmd.Process.Pid)
}

// Addresses measures giving out addresses, side by side if the other side is there.
func (w *World) Addresses(ctx context.Context, o Options) (*Addresses, error) {
	f, err := startFleet(w.programs, o.Work, w.api.kubeconfig, fleetName)
	defer f.stop()
	if err != nil {
		return nil, err
	}
	a := &Addresses{Nodes: fleetNodes, Rounds: o.AddressRounds, Duplicates: map[string][]string{}, Leaks: map[string][]string{}}
	sides := []string{Ours}
	if os.Getenv(WhereaboutsEnv) != "" {
		sides = append(sides, Whereabouts)
	}
	for i, s := range scenarios {
		if o.Scenario != "" && s.name != o.Scenario {
			continue
		}
		for round := range o.AddressRounds {
			order := slices.Clone(sides)
			if (i+round)%2 == 1 {
				slices.Reverse(order)
			}
			for _, side := range order {
				w.say("addresses: %s, round %d of %d, %s", s.name, round+1, o.AddressRounds, side)
				r := &addressRound{Addresses: a, w: w, o: o, f: f, scenario: s.name, side: side, round: round, quick: o.quick}
				if err := r.run(ctx, s.do); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", s.name, side, err)
				}
			}
		}
	}
	return a, nil
}

// run is one round: the scenario, then all that is held is deleted, and the oracle judges.
func (r *addressRound) run(ctx context.Context, do func(context.Context, *addressRound) error) error {
	if err := do(ctx, r); err != nil {
		return err
	}
	if _, err := r.untimed(ctx, order{Do: "reset", Flight: pick(r, 50, 20)}); err != nil {
		return err
	}
	a, err := r.untimed(ctx, order{Do: "settle", Seconds: pick(r, 120., 5)})
	r.Duplicates[r.side] = a.Duplicates // of all so far
	r.Leaks[r.side] = append(r.Leaks[r.side], a.Leaks...)
	return err
}
