// Command tsunagu-vcenter is a vCenter for the lab: govmomi's simulator with machines that stand for the lab's nodes. It is never installed.
//
// It prints one line of JSON that says how it is reached and which machines it has, and one more each time the network cards of a machine change.
// Standard input takes one order a line: "stop" and "resume" make it unreachable and reachable again, "remove PORTGROUP" deletes a port group. It
// ends when there are no more orders.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/node/vsphere/vspheretest"
)

// hello is the first line.
type hello struct {
	Server     string            `json:"server"`
	User       string            `json:"username"`
	Password   string            `json:"password"`
	Thumbprint string            `json:"thumbprint"`
	Machines   map[string]string `json:"machines"` // names to BIOS UUIDs
}

// change is each other line.
type change struct {
	Machine string             `json:"machine"`
	Cards   []vspheretest.Card `json:"cards"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where it is reached")
	machines := flag.Int("machines", 3, "how many virtual machines there are")
	flag.Parse()
	if err := run(context.Background(), *listen, *machines, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tsunagu-vcenter:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string, machines int, in io.Reader, out io.Writer) error {
	site, err := vspheretest.Start(ctx, 3, machines)
	if err != nil {
		return err
	}
	defer site.Close()
	all, err := site.Machines(ctx)
	if err != nil {
		return err
	}
	door, err := vspheretest.Open(func(at string) (net.Listener, error) { return net.Listen("tcp", at) }, listen, site.Server.URL.Host)
	if err != nil {
		return err
	}
	defer door.Stop()
	h := hello{Server: door.Address(), Machines: map[string]string{}}
	_, h.User, h.Password, h.Thumbprint = site.Login()
	for _, m := range all {
		h.Machines[m.Name] = m.UUID
	}
	lines := json.NewEncoder(out)
	if err := lines.Encode(h); err != nil {
		return err
	}
	done := make(chan struct{})
	defer close(done)
	go watch(site, all, lines, done)
	orders := bufio.NewScanner(in)
	for orders.Scan() {
		verb, what, _ := strings.Cut(orders.Text(), " ")
		switch verb {
		case "stop":
			door.Stop()
		case "resume":
			err = door.Resume()
		case "remove":
			err = site.Remove(ctx, what)
		default:
			err = fmt.Errorf("order %q is none of stop, resume, remove", orders.Text())
		}
		if err != nil {
			return err
		}
	}
	return orders.Err()
}

// watch tells what changes.
func watch(site *vspheretest.Site, all []vspheretest.Machine, lines *json.Encoder, done <-chan struct{}) {
	last := map[string][]vspheretest.Card{}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, m := range all {
			cards := site.Cards(m)
			if reflect.DeepEqual(cards, last[m.Name]) {
				continue
			}
			last[m.Name] = cards
			if err := lines.Encode(change{m.Name, cards}); err != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}
