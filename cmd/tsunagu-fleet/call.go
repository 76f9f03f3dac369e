package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// podInterface is the interface that a runtime asks for.
const podInterface = "eth0"

const conf = `{"cniVersion":"1.0.0","name":"tsunagu","type":"tsunagu-cni"}`

// mostTime is how long a runtime waits.
const mostTime = 2 * time.Minute

// call asks an agent as the shim does.
func (f *fleet) call(ctx context.Context, verb string, p pod) error {
	ctx, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", f.nodes[p.node].socket)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	q := shimrpc.Request{Command: verb, ContainerID: p.name, NetNS: f.netns, IfName: podInterface, Config: []byte(conf),
		Args: "K8S_POD_NAMESPACE=" + namespace + ";K8S_POD_NAME=" + p.name}
	if err := q.Write(c); err != nil {
		return err
	}
	r, err := shimrpc.ReadResponse(c)
	if err != nil {
		return fmt.Errorf("%s at %s: %w", verb, f.nodes[p.node].socket, err)
	}
	if !r.Failed {
		return nil
	}
	var e struct{ Msg, Details string }
	if err := json.Unmarshal(r.Output, &e); err != nil {
		return err
	}
	reason, _, _ := strings.Cut(e.Details, ":")
	return &refusal{reason, e.Msg}
}
