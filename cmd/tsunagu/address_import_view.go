package main

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/legacy"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

func definitionsOf(s *snapshot.Snapshot) []legacy.Definition {
	var all []legacy.Definition
	for _, d := range s.Definitions {
		all = append(all, legacy.Definition{Namespace: d.Namespace, Name: d.Name, Config: d.Spec.Config})
	}
	return all
}

// worldOf is what an import is held against.
func worldOf(s *snapshot.Snapshot) legacy.World {
	w := legacy.World{Nodes: map[string]string{}, Definitions: definitionsOf(s)}
	for _, n := range s.Nodes {
		w.Nodes[n.Name] = string(n.UID)
	}
	for i := range s.Pods {
		if !s.Pods[i].Spec.HostNetwork {
			w.Pods = append(w.Pods, legacyPod(&s.Pods[i]))
		}
	}
	for i := range s.Addresses {
		if a, err := ipam.AddressFrom(&s.Addresses[i]); err == nil {
			w.Bound = append(w.Bound, a)
		}
	}
	for i := range s.Blocks {
		if b, err := ipam.BlockFrom(&s.Blocks[i]); err == nil {
			w.Blocks = append(w.Blocks, b)
		}
	}
	return w
}

func legacyPod(p *corev1.Pod) legacy.Pod {
	out := legacy.Pod{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Node: p.Spec.NodeName, Finished: doctor.Finished(p)}
	status, err := doctor.Status(p)
	out.Unsaid = err != nil || len(status) == 0
	for _, on := range status {
		if on.Default {
			continue
		}
		i := legacy.Interface{Name: on.Interface, Network: on.Name}
		for _, text := range on.IPs {
			if a, err := netip.ParseAddr(text); err == nil {
				i.Addresses = append(i.Addresses, a.Unmap())
			}
		}
		out.Interfaces = append(out.Interfaces, i)
	}
	return out
}

func (v importView) print(w io.Writer, t terminal) {
	rows := table{header: []string{"ADDRESS", "DOMAIN", "ACTION", "POD", "INTERFACE", "NODE", "NOTE"}, width: t.width(), spare: []string{"INTERFACE", "NODE"}}
	for _, s := range v.Steps {
		whose := strings.Join(s.Owners, ", ")
		if whose == "" && s.Record.Pod != "" {
			whose = strings.TrimPrefix(s.Record.Namespace+"/"+s.Record.Pod, "/")
		}
		rows.add(s.Address, s.Domain, s.Verb, whose, cmp.Or(s.Bind.Owner.IfName, s.Record.IfName), s.Node, cmp.Or(s.Error, s.Note))
	}
	rows.dropEmpty("NOTE")
	rows.print(w, "nothing to import")
	if len(v.Problems) > 0 {
		fmt.Fprintf(w, "\n%s\n", t.bold("In the records themselves:"))
	}
	for _, p := range v.Problems {
		text := p.Message
		if p.Fix != "" {
			text += ". To do: " + p.Fix
		}
		fmt.Fprint(w, wrap(fmt.Sprintf("%s (%s): ", p.Source, p.Kind), text, t.width()))
	}
	fmt.Fprintf(w, "\n%s\n", v.summary())
}

// summary is the counts in words.
func (v importView) summary() string {
	words := []string{}
	for _, verb := range []legacy.Verb{legacy.Bind, legacy.Replace, legacy.Present, legacy.Own, legacy.Gone, legacy.Duplicate, legacy.Conflict} {
		if n := v.Counts[verb]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, verb))
		}
	}
	failed := 0
	for _, s := range v.Steps {
		if s.Error != "" {
			failed++
		}
	}
	if failed > 0 {
		words = append(words, fmt.Sprintf("%d of them not done yet", failed))
	}
	if len(v.Problems) > 0 {
		words = append(words, fmt.Sprintf("%d remarks", len(v.Problems)))
	}
	text := fmt.Sprintf("%d addresses: %s", len(v.Steps), strings.Join(words, ", "))
	if len(words) == 0 {
		text = "0 addresses"
	}
	if v.DryRun {
		text += " (nothing was done)"
	}
	return text
}
