package link_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

func namespace(t testing.TB, name string) *netns.Namespace {
	t.Helper()
	name = fmt.Sprintf("tst-link-%d-%s", os.Getpid(), name)
	n, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	return n
}

func dial(t testing.TB, n *netns.Namespace) *link.Conn {
	t.Helper()
	c, err := link.Dial(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The number of a namespace is that of the interfaces that lead there, and of no other.
func TestNumberOf(t *testing.T) {
	a, b, other := namespace(t, "number-a"), namespace(t, "number-b"), namespace(t, "number-c")
	c, err := link.Dial(a)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Apply(link.NewVeth(link.End{Name: "out"}, link.End{Name: "in", NS: b}), link.NewVeth(link.End{Name: "here"}, link.End{Name: "there"})); err != nil {
		t.Fatal(err)
	}
	number, err := c.NumberOf(b)
	if err != nil || number < 0 {
		t.Fatalf("%d, %v", number, err)
	}
	if n, err := c.NumberOf(other); err != nil || n != -1 {
		t.Errorf("a namespace that no interface leads to: %d, %v", n, err)
	}
	for name, want := range map[string]int{"out": number, "here": -1} {
		l, err := c.ByName(name)
		if err != nil || l.ParentSpace != want {
			t.Errorf("%s leads to %d, want %d (%v)", name, l.ParentSpace, want, err)
		}
	}
}
