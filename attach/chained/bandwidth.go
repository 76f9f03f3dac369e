package chained

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/kernel/shape"
)

// Shaping limits the bandwidth of an interface that has an end on the node.
type Shaping struct {
	// Bandwidth is nil for what the Pod asks for.
	Bandwidth *Bandwidth
}

// Type is the plugin's name.
func (Shaping) Type() string { return "bandwidth" }

func parseBandwidth(raw []byte) (Spec, error) {
	f := readFields("bandwidth", "", raw)
	var b Bandwidth
	given := false
	for key, to := range map[string]*uint64{"ingressRate": &b.IngressRate, "ingressBurst": &b.IngressBurst, "egressRate": &b.EgressRate, "egressBurst": &b.EgressBurst} {
		given = f.into(key, "a whole number of bits", to) || given
	}
	if err := f.end(); err != nil || !given {
		return Shaping{}, err
	}
	return Shaping{&b}, b.check()
}

// check refuses rates without bursts, and what the kernel cannot count.
func (b Bandwidth) check() error {
	for _, one := range []struct {
		name        string
		rate, burst uint64
	}{{"ingress", b.IngressRate, b.IngressBurst}, {"egress", b.EgressRate, b.EgressBurst}} {
		bad := func(field, format string, args ...any) error {
			return kind.BadConfig{Type: "bandwidth", Field: one.name + field, Message: fmt.Sprintf(format, args...),
				Hint: "set both rate (bits per second) and burst (bits, of some packets at least)"}
		}
		switch {
		case one.burst == 0 && one.rate != 0:
			return bad("Burst", "if rate is set (%d), burst must also be set", one.rate)
		case one.rate == 0 && one.burst != 0:
			return bad("Rate", "if burst is set (%d), rate must also be set", one.burst)
		case one.burst/8 >= math.MaxUint32:
			return bad("Burst", "%d bits are too much: burst cannot be more than 4GB", one.burst)
		case one.rate != 0 && one.rate < 8:
			return bad("Rate", "%d bits per second are not a byte", one.rate)
		}
	}
	return nil
}

// wanted is the limit: that of the configuration, else what the Pod asks for.
func (s Shaping) wanted(c Call) Bandwidth {
	switch {
	case s.Bandwidth != nil:
		return *s.Bandwidth
	case c.Runtime.Bandwidth != nil:
		return *c.Runtime.Bandwidth
	}
	return Bandwidth{}
}

// throttle is the name of the intermediate device of an interface. The plugin's name for it is the same for all interfaces of a Pod on one
// network.
func throttle(c Call) string {
	sum := sha512.Sum512([]byte(c.Name + c.ContainerID + c.IfName))
	return "bwp" + hex.EncodeToString(sum[:])[:12]
}

// shapeIt limits what goes to the Pod where it leaves the node's end, and what comes from it in the intermediate device.
func (r *Runner) shapeIt(c Call, s Shaping) (json.RawMessage, error) {
	b := s.wanted(c)
	if b == (Bandwidth{}) {
		return nil, nil
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	end := c.Wired.HostIf
	if end == "" {
		return nil, kind.BadConfig{Type: "bandwidth", Field: "type", Message: fmt.Sprintf("%s is a %s, which has no end on the node where it could be limited", c.IfName, c.Wired.Type),
			Hint: "use bandwidth behind ptp or bridge"}
	}
	conn, err := shape.In(r.Node)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if b.IngressRate != 0 {
		err = conn.Leaving(end, shape.Rate{Bits: b.IngressRate, Burst: b.IngressBurst})
	}
	if err == nil && b.EgressRate != 0 {
		err = conn.Entering(end, throttle(c), c.ContainerID+"/"+c.IfName, shape.Rate{Bits: b.EgressRate, Burst: b.EgressBurst})
	}
	if err != nil {
		return nil, errors.Join(err, conn.Free(end), conn.Remove(throttle(c)))
	}
	return json.Marshal(end)
}

// unshape takes the limits away. Without a state it is not known on which link they were; it goes with the Pod then.
func (r *Runner) unshape(c Call, state json.RawMessage) error {
	conn, err := shape.In(r.Node)
	if err != nil {
		return err
	}
	defer conn.Close()
	end := c.Wired.HostIf
	if len(state) > 0 {
		_ = json.Unmarshal(state, &end) // it is ours
	}
	if end != "" {
		err = conn.Free(end)
	}
	return errors.Join(err, conn.Remove(throttle(c)))
}

func (r *Runner) checkShape(c Call, s Shaping) error {
	b := s.wanted(c)
	if b == (Bandwidth{}) {
		return nil
	}
	conn, err := shape.In(r.Node)
	if err != nil {
		return err
	}
	defer conn.Close()
	to, leads, err := conn.Limit(c.Wired.HostIf)
	if err != nil {
		return err
	}
	from, _, err := conn.Limit(throttle(c))
	if err != nil {
		return err
	}
	differs := func(what, want, have string) error {
		return kind.Mismatch{IfName: c.IfName, What: what, Want: want, Have: have}
	}
	in, out := shape.Rate{Bits: b.IngressRate, Burst: b.IngressBurst}, shape.Rate{Bits: b.EgressRate, Burst: b.EgressBurst}
	switch {
	case in.Bits != 0 && to != in.String():
		return differs("the limit of ingress", in.String(), to)
	case out.Bits != 0 && from != out.String():
		return differs("the limit of egress", out.String(), from)
	case out.Bits != 0 && !leads:
		return differs("the way of egress", "through "+throttle(c), "past it")
	}
	return nil
}
