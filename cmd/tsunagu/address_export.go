package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/tsunagu-net/tsunagu/ipam/legacy"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// exportView is what `address export` prints: a list that kubectl creates.
type exportView struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Items      []any  `json:"items"`
}

type exportKind struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func whereaboutsKind(kind string) exportKind {
	return exportKind{"whereabouts.cni.cncf.io/v1alpha1", kind}
}

func (a *app) addressExport() *cobra.Command {
	var file, namespace string
	c := &cobra.Command{
		Use:   "export",
		Short: "writes the addresses in use as objects of whereabouts, for the way back to it",
		Long: `export writes, as YAML, the IPPools and OverlappingRangeIPReservations by which whereabouts knows the addresses that live Pods have on its
networks (definitions of ipam type whereabouts), so that it gives none of them out again:

  tsunagu address export >whereabouts.yaml
  kubectl create -f whereabouts.yaml

It changes nothing itself. What cannot be written is said on stderr: addresses of networks that are sliced by node and have no NodeSlicePool,
Pods without a network-status, addresses that two Pods have. Addresses that no Pod has now, of IPClaims or reserved, are unknown to
whereabouts and are counted on stderr.

Exit code: 0 all is written; 6 something could not be.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.exportAddresses(c.Context(), file, namespace) },
	}
	c.Flags().StringVar(&file, "file", "", "read what kubectl wrote of a cluster (- is standard input) instead of the cluster: pods,nodes,net-attach-def,nodeslicepools,ipaddresses")
	c.Flags().StringVar(&namespace, "whereabouts-namespace", "kube-system", "where whereabouts keeps its objects")
	return c
}

func (a *app) exportAddresses(ctx context.Context, file, namespace string) error {
	s, err := a.exportWorld(ctx, file)
	if err != nil {
		return err
	}
	world := worldOf(s)
	found := legacy.InUse(world)
	out := legacy.Export(found.Records, world.Definitions, s.WhereaboutsSlices, namespace)
	v := exportView{APIVersion: "v1", Kind: "List", Items: []any{}}
	for _, p := range out.Pools {
		v.Items = append(v.Items, struct {
			exportKind
			legacy.IPPool
		}{whereaboutsKind("IPPool"), p})
	}
	for _, o := range out.Reservations {
		v.Items = append(v.Items, struct {
			exportKind
			legacy.Reservation
		}{whereaboutsKind("OverlappingRangeIPReservation"), o})
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the objects as YAML: %w", err)
	}
	if err := a.show(a.format, v, func(w io.Writer) { _, _ = w.Write(text) }); err != nil {
		return err
	}
	problems := append(found.Problems, out.Problems...)
	for _, p := range problems {
		fmt.Fprint(a.err, wrap(p.Source+": ", p.Message+". To do: "+p.Fix, a.width()))
	}
	if n := idleAddresses(world); n > 0 {
		fmt.Fprint(a.err, wrap("", fmt.Sprintf("%d addresses are reserved or belong to IPClaims, and no Pod uses them now: whereabouts has nothing to keep them by, and may give them out", n), a.width()))
	}
	if len(problems) > 0 {
		return verdict(exitUnsettled)
	}
	return nil
}

// exportWorld reads the cluster, or a dump of one.
func (a *app) exportWorld(ctx context.Context, file string) (*snapshot.Snapshot, error) {
	if file != "" {
		s, err := readDump(file)
		if err == nil && s.Unread["pods"] != "" {
			err = &problem{exitFailed, fmt.Errorf("read %s: it has no Pods", file), "kubectl get -A -o yaml pods,nodes,net-attach-def,nodeslicepools,ipaddresses"}
		}
		return s, err
	}
	reader, err := a.cluster.reader()
	if err != nil {
		return nil, err
	}
	p := a.watch("asking the API server")
	defer p.end()
	s, err := reader.Snapshot(ctx, nil, append(importParts, snapshot.WhereaboutsSlices)...)
	if err != nil {
		return nil, err
	}
	for _, part := range []string{"pods", "network-attachment-definitions", "ipaddresses"} {
		if why, ok := s.Unread[part]; ok {
			return nil, &problem{exitFailed, fmt.Errorf("read %s: %s", part, why), "without it, it is not known which addresses are in use; ask for the right to list it"}
		}
	}
	return s, nil
}

// idleAddresses are those that are kept from others although no Pod has them.
func idleAddresses(w legacy.World) (n int) {
	live := map[string]bool{}
	for _, p := range w.Pods {
		live[p.UID] = !p.Finished
	}
	for _, b := range w.Bound {
		if b.Quarantine == nil && (b.Reserved != "" || b.Claim.Name != "") && !live[b.Owner.UID] {
			n++
		}
	}
	return n
}
