package kind

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// down tells that the interface is left down on purpose.
func (j *job) down() bool {
	s, ok := j.Spec.(Bridge)
	return ok && s.Down
}

// notify sets how interfaces tell of themselves, before they have addresses. A kernel without IPv6 has none of those sysctls.
func (t *transaction) notify() error {
	type setting struct{ path, value string }
	var all []setting
	for _, j := range t.jobs {
		if j.kept || len(j.addresses) == 0 {
			continue
		}
		name := j.IfName
		if j.renamed {
			name = j.hostIf
		}
		n := j.Spec.notices()
		if n.arp {
			all = append(all, setting{"ipv4/conf/" + name + "/arp_notify", "1"})
		}
		if n.ndisc {
			all = append(all, setting{"ipv6/conf/" + name + "/ndisc_notify", "1"})
		}
		if n.dad != "" {
			all = append(all, setting{"ipv6/conf/" + name + "/accept_dad", n.dad})
		}
		if n.dad == "1" {
			all = append(all, setting{"ipv6/conf/" + name + "/enhanced_dad", "1"})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return t.ns.Do(func() error {
		for _, s := range all {
			if err := link.WriteHere(s.path, s.value); err != nil && !link.Missing(err) {
				return err
			}
		}
		return nil
	})
}

// protect guards ports before their interfaces come up, and puts taps on the Pod's bridges.
func (t *transaction) protect() error {
	for _, j := range t.jobs {
		if j.kept {
			continue
		}
		switch s := j.Spec.(type) {
		case Bridge:
			if !s.MACSpoofCheck {
				continue
			}
			t.guarded = append(t.guarded, j.hostIf)
			if err := t.guard.Allow(j.hostIf, j.inside.MAC); err != nil {
				return err
			}
		case Tap:
			if err := s.join(t, j); err != nil {
				return j.blame(err)
			}
		}
	}
	return nil
}

// settleWait is how long the kernel may take to look for duplicates, as long as the reference plugins wait; settleGlance is how often
// it is asked.
const (
	settleWait   = 10 * time.Second
	settleGlance = 20 * time.Millisecond
)

// settle waits until addresses that are looked for on the segment first can be used (enabledad).
func (t *transaction) settle() error {
	for _, j := range t.jobs {
		if j.kept || j.Spec.notices().dad != "1" {
			continue
		}
		if err := t.settled(j); err != nil {
			return j.blame(err)
		}
	}
	return nil
}

func (t *transaction) settled(j *job) error {
	for end := time.Now().Add(settleWait); ; time.Sleep(settleGlance) {
		have, err := t.pod.AddressesOf(j.inside.Index)
		if err != nil {
			return err
		}
		var waiting netip.Addr
		for _, a := range have {
			if a.Prefix.Addr().IsLinkLocalUnicast() {
				continue
			}
			if a.Duplicate {
				return AddressInUse{[]Stranger{{j.IfName, a.Prefix.Addr(), "a neighbour (detection of duplicates, enabledad)"}}}
			}
			if a.Tentative {
				waiting = a.Prefix.Addr()
			}
		}
		if !waiting.IsValid() {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("address %s of interface %s is still tentative after %v", waiting, j.IfName, settleWait)
		}
	}
}
