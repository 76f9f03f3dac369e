package datagram

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tsunagu-net/tsunagu/vip/lease"
)

func key(t testing.TB, secret string) Key {
	k, err := NewKey([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func id() *rapid.Generator[lease.ID] {
	return rapid.Map(rapid.StringMatching(`[a-z0-9]([-a-z0-9.]{0,30}[a-z0-9])?`), func(s string) lease.ID { return lease.ID(s) })
}

func message() *rapid.Generator[lease.Message] {
	return rapid.Custom(func(t *rapid.T) lease.Message {
		some := func() []lease.ID {
			list := rapid.SliceOfN(id(), 0, 7).Draw(t, "list")
			if len(list) == 0 {
				return nil
			}
			return list
		}
		n := rapid.Uint64()
		d := rapid.Map(rapid.Int64Range(0, int64(time.Hour)), func(n int64) time.Duration { return time.Duration(n) })
		return lease.Message{
			Kind: lease.Kind(rapid.IntRange(int(lease.Ask), int(lease.Hello)).Draw(t, "kind")), From: lease.Holder{ID: id().Draw(t, "from"), Start: n.Draw(t, "start")},
			To: id().Draw(t, "to"), Epoch: n.Draw(t, "epoch"), Round: n.Draw(t, "round"), For: n.Draw(t, "for"), Lease: d.Draw(t, "lease"), Left: d.Draw(t, "left"),
			Other: id().Draw(t, "other"), Owner: rapid.Bool().Draw(t, "owner"), Heir: id().Draw(t, "heir"), Floor: n.Draw(t, "floor"),
			Members: lease.Members{Version: lease.Version{Epoch: n.Draw(t, "version"), Count: n.Draw(t, "count")}, In: some(), Out: some()},
			Health:  lease.Health{Weight: rapid.IntRange(0, 1<<20).Draw(t, "weight"), Ready: rapid.Bool().Draw(t, "ready")},
		}
	})
}

// What is sealed is opened as it was, and a changed byte is noticed.
func TestSealedIsOpened(t *testing.T) {
	k := key(t, "a secret of the control plane")
	rapid.Check(t, func(t *rapid.T) {
		want := message().Draw(t, "message")
		b, err := k.Seal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Open(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
		i := rapid.IntRange(0, len(b)-1).Draw(t, "place")
		b[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		if _, err := k.Open(b); err == nil {
			t.Fatalf("byte %d of %d was changed, and it is opened", i, len(b))
		}
	})
}

func TestOthersDatagrams(t *testing.T) {
	ours, theirs := key(t, "a secret of the control plane"), key(t, "a secret of another cluster")
	b, err := theirs.Seal(lease.Message{Kind: lease.Ask, From: lease.Holder{ID: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(b)
	copy(forged[4:], ours.Cluster[:])
	for want, b := range map[error][]byte{
		ErrForeign: []byte("GET / HTTP/1.1"),
		ErrCluster: b,
		ErrForged:  forged,
	} {
		if _, err := ours.Open(b); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", b, err, want)
		}
	}
	if _, err := ours.Open(nil); !errors.Is(err, ErrForeign) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := NewKey([]byte("short")); err == nil || !strings.Contains(err.Error(), "too short") {
		t.Errorf("a short secret: %v", err)
	}
}

func TestTooManyMembers(t *testing.T) {
	var ids []lease.ID
	for i := range 200 {
		ids = append(ids, lease.ID(fmt.Sprintf("control-plane-%d", i)))
	}
	_, err := key(t, "a secret of the control plane").Seal(lease.Message{Kind: lease.Ask, From: lease.Holder{ID: "x"}, Members: lease.Members{In: ids}})
	if err == nil || !strings.Contains(err.Error(), "200 members") {
		t.Errorf("a list of 200: %v", err)
	}
}

// FuzzOpen reads bodies that are signed and may say anything: what is accepted
// says the same again when it is sealed.
func FuzzOpen(f *testing.F) {
	k := key(f, "a secret of the control plane")
	b, err := k.Seal(lease.Message{Kind: lease.Request, From: lease.Holder{ID: "n1", Start: 7}, To: "n2", Lease: time.Second,
		Members: lease.Members{In: []lease.ID{"n1", "n2"}, Out: []lease.ID{"n3"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[header:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := readMessage(body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		again, err := readMessage(appendMessage(nil, m))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, again, m)
		}
	})
}
