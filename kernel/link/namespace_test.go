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
