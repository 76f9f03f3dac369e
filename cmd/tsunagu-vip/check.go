package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/control"
	"github.com/tsunagu-net/tsunagu/vip/precheck/look"
)

// lookHere prints what is found on this node; `tsunagu vip check` judges it.
func lookHere(o options) error {
	if len(o.addresses) == 0 {
		return errors.New("--check: which address? --address names it")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	w := look.Where{Addresses: o.addresses, Interface: o.device, APIPort: o.apiPort, Root: "/", Socket: filepath.Join(o.runDir, control.SocketName), Secrets: o.keyFiles}
	switch o.mode {
	case byTableMode, byBGPMode:
		w.Routed = true
		for _, p := range o.bgp.Peers {
			w.Peers = append(w.Peers, p.Address)
		}
	case byObjectMode:
		w.Kubeconfigs = o.object.kubeconfigs
	}
	facts, err := look.Node(ctx, w)
	if err != nil {
		return err
	}
	if w.Routed {
		if _, err := aside(o.addresses); err != nil {
			facts.OnSegment = err.Error()
		}
	}
	return json.NewEncoder(os.Stdout).Encode(facts)
}
