package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

//go:embed demo.yaml
var manifest string

// What demo.yaml says.
const (
	namespace     = "demo"
	fixedAddress  = "192.168.101.77"
	leavingByBlue = "192.168.101.78"
)

// network is a network of the demo and the machine outside the cluster that
// is on it.
type network struct {
	title, status string
	outside       []string
}

var networks = []network{
	{"pod network", "", []string{"203.0.113.10", "2001:db8:113::10"}},
	{"blue", "demo/blue", []string{"192.168.101.254", "fd00:101::fe"}},
	{"green", "demo/green", []string{"192.168.102.254", "fd00:102::fe"}},
}

type demo struct {
	lab    drive.Lab
	out    io.Writer
	start  time.Time
	pods   []drive.Pod
	proofs []proof
}

// proof is one thing that was tried, and what came of it.
type proof struct {
	what string
	err  error
}

func (d *demo) run(ctx context.Context) error {
	if err := d.lab.Install(ctx, d.say); err != nil {
		return fmt.Errorf("installing tsunagu: %w", err)
	}
	d.say("creating networks blue and green and Pods on them")
	if err := d.lab.Apply(ctx, manifest); err != nil {
		return fmt.Errorf("applying the demo's objects: %w", err)
	}
	if _, err := d.lab.Kubectl(ctx, "rollout", "status", "-n", namespace, "daemonset/web", "--timeout=120s"); err != nil {
		return err
	}
	web, err := d.lab.Ready(ctx, namespace, "app=web", d.nodes(ctx))
	if err != nil {
		return err
	}
	alone, err := d.lab.Ready(ctx, namespace, "app=alone", 2)
	if err != nil {
		return err
	}
	d.pods = append(web, alone...)

	d.say("proving it")
	d.proveAddresses()
	d.provePings(ctx, web)
	d.proveDefaultRoute(ctx)
	return d.report()
}

func (d *demo) nodes(ctx context.Context) int {
	out, _ := d.lab.Kubectl(ctx, "get", "nodes", "-o", "name")
	return len(strings.Fields(out))
}

// proveAddresses: no address twice, and the fixed one is where it was asked for.
func (d *demo) proveAddresses() {
	var err error
	if found := drive.Duplicates(d.pods); len(found) > 0 {
		err = fmt.Errorf("%s", strings.Join(found, "; "))
	}
	d.proof("no address is held twice", err)

	err = fmt.Errorf("Pod fixed does not have it")
	for _, p := range d.pods {
		if on, ok := p.On("demo/blue"); ok && p.Name == "fixed" {
			for _, ip := range on.IPs {
				if ip == netip.MustParseAddr(fixedAddress) {
					err = nil
				}
			}
		}
	}
	d.proof("Pod fixed asked for "+fixedAddress+" on blue and has it", err)
}

// provePings: on each network every Pod reaches the next Pod, which is on
// another node, and the machine outside.
func (d *demo) provePings(ctx context.Context, web []drive.Pod) {
	for _, n := range networks {
		for i, from := range web {
			to := web[(i+1)%len(web)]
			on, ok := to.On(n.status)
			mine, _ := from.On(n.status)
			if !ok {
				d.proof(n.title+": "+to.Name+" is attached", fmt.Errorf("no interface on it in network-status"))
				continue
			}
			for _, ip := range on.IPs {
				d.ping(ctx, n, from, mine.Name, fmt.Sprintf("%s (%s)", to.Name, to.Node), ip.String())
			}
		}
		for _, ip := range n.outside {
			mine, _ := web[0].On(n.status)
			d.ping(ctx, n, web[0], mine.Name, "the host outside", ip)
		}
	}
}

func (d *demo) ping(ctx context.Context, n network, from drive.Pod, device, to, ip string) {
	_, err := d.lab.PodExec(ctx, namespace, from.Name, "ping", "-c", "1", "-W", "3", "-I", device, ip)
	d.proof(fmt.Sprintf("%s: %s (%s) reaches %s at %s", n.title, from.Name, from.Node, to, ip), err)
}

// proveDefaultRoute: what leaves a Pod with a default route on blue arrives
// outside with its address on blue.
func (d *demo) proveDefaultRoute(ctx context.Context) {
	said, err := d.lab.PodExec(ctx, namespace, "leaving", "wget", "-q", "-O", "-", "-T", "5", "http://203.0.113.10:8080/clientip")
	if err == nil && !strings.HasPrefix(said, leavingByBlue+":") {
		err = fmt.Errorf("the host outside saw %s", said)
	}
	d.proof("Pod leaving has its default route on blue: the host outside sees "+leavingByBlue, err)
}

func (d *demo) proof(what string, err error) { d.proofs = append(d.proofs, proof{what, err}) }

func (d *demo) say(step string) {
	fmt.Fprintf(d.out, "[%5.1fs] %s\n", time.Since(d.start).Seconds(), step)
}

// report prints proofs and the table, and fails if a proof did.
func (d *demo) report() error {
	failed := 0
	fmt.Fprintln(d.out)
	for _, p := range d.proofs {
		if p.err != nil {
			failed++
			fmt.Fprintf(d.out, "FAIL  %s: %v\n", p.what, p.err)
			continue
		}
		fmt.Fprintf(d.out, "ok    %s\n", p.what)
	}
	fmt.Fprintln(d.out)
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POD\tINTERFACE\tNETWORK\tADDRESS\tMAC\tNODE")
	for _, p := range d.pods {
		for _, i := range p.Interfaces {
			var ips []string
			for _, ip := range i.IPs {
				ips = append(ips, ip.String())
			}
			name := i.Network
			if i.Default {
				name += " (default)"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, i.Name, name, strings.Join(ips, ","), i.MAC, p.Node)
		}
	}
	table.Flush()
	if failed > 0 {
		return fmt.Errorf("%d of %d proofs failed, see above", failed, len(d.proofs))
	}
	fmt.Fprintf(d.out, "\n%d proofs held in %.0f s. The lab is left running; the README's next steps start here:\n"+
		"  bin/tsunagu lab kubectl --name %s -- get pods -n %s -o wide\n  make demo-down\n",
		len(d.proofs), time.Since(d.start).Seconds(), d.lab.Name, namespace)
	return nil
}
