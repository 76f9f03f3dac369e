package kind

import (
	"net/netip"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// ipMasq hides a Pod from others and not from its own subnet, by our table as by the reference plugin's rules.
func TestMasqueradeAsTheReferencePlugin(t *testing.T) {
	row := compatRow{Plugin: "ptp", Config: `{"ipMasq":true}`, addresses: []string{"10.7.0.2/24 via 10.7.0.1"}}
	neighbour := func(w *world) *netns.Namespace {
		b := w.pod()
		w.wire(b, w.attach(b, "net1", w.spec("ptp", `{}`), "10.7.0.3/24 via 10.7.0.1"))
		return b
	}
	sources := func(w *world, pod *netns.Namespace) [2]string {
		w.Helper()
		up1, err := w.conn.ByName("up1")
		w.must(err)
		w.must(w.conn.Apply(link.AddAddress("up1", up1.Index, netip.MustParsePrefix("192.168.10.1/24"), link.AddressOptions{})))
		inside := w.dial(pod)
		l, err := inside.ByName("net1")
		w.must(err)
		w.must(inside.Apply(link.AddRoute("net1", link.Route{Index: l.Index, Dst: defaults[0], Gateway: netip.MustParseAddr("10.7.0.1")})))
		return [2]string{w.reaches(pod, w.outside[0], "192.168.10.254").String(), w.reaches(pod, neighbour(w), "10.7.0.3").String()}
	}
	own := newWorld(t)
	pod := own.pod()
	a, err := row.attachment(own, pod)
	own.must(err)
	wired := own.wire(pod, a)
	hidden := nft.Contents{}
	for _, address := range wired[0].Addresses {
		hidden.Hidden(address.Prefix)
	}
	own.must(nft.Open(own.node, nft.Options{}).Replace(nft.PortSets, hidden))
	if len(wired[0].Masquerade) != 1 {
		t.Errorf("to hide: %v", wired[0].Masquerade)
	}
	got := sources(own, pod)
	theirs := newWorld(t)
	row.byReference(theirs, row.references(t)[0])
	if want := sources(theirs, theirs.lastPod); got != want || got != [2]string{"192.168.10.1", "10.7.0.2"} {
		t.Errorf("seen outside and in the subnet as %v, by the reference plugin as %v", got, want)
	}
}
