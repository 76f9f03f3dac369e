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
	facts, err := look.Node(ctx, look.Where{Addresses: o.addresses, Interface: o.device, APIPort: o.apiPort, Root: "/",
		Socket: filepath.Join(o.runDir, control.SocketName), Secrets: o.keyFiles})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(facts)
}
