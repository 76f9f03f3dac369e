package ovs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// DefaultSocket is where Open vSwitch's database listens unless it is told otherwise.
const DefaultSocket = "unix:/var/run/openvswitch/db.sock"

// Switch is the Open vSwitch of a node, by the address of its database: "unix:/path", "/path" or "tcp:host:port".
type Switch struct{ Socket string }

// ErrUnreachable tells that nothing was asked of the database, because it does not listen.
var ErrUnreachable = errors.New("reach Open vSwitch")

// answerWait is how long the database may take when the caller has more time than that.
const answerWait = 5 * time.Second

func (s Switch) dial(ctx context.Context) (net.Conn, error) {
	network, address, ok := strings.Cut(s.Socket, ":")
	if !ok || network != "tcp" {
		network, address = "unix", strings.TrimPrefix(s.Socket, "unix:")
	}
	c, err := (&net.Dialer{Timeout: answerWait}).DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	deadline := time.Now().Add(answerWait)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := c.SetDeadline(deadline); err != nil {
		c.Close()
		return nil, fmt.Errorf("reach Open vSwitch: %w", err)
	}
	return c, nil
}

// transact carries out operations as one (RFC 7047 clause 4.1.3).
func (s Switch) transact(ctx context.Context, operations ...ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	params := []any{"Open_vSwitch"}
	for _, o := range operations {
		params = append(params, o)
	}
	if err := json.NewEncoder(c).Encode(map[string]any{"method": "transact", "params": params, "id": 1}); err != nil {
		return nil, fmt.Errorf("ask Open vSwitch: %w", err)
	}
	return answer(json.NewDecoder(c))
}

// answer reads until the answer comes; the server may ask whether the client is alive meanwhile, which a client so short-lived ignores.
func answer(from *json.Decoder) ([]ovsdb.OperationResult, error) {
	for {
		var message struct {
			ID     any             `json:"id"`
			Method string          `json:"method"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if err := from.Decode(&message); err != nil {
			return nil, fmt.Errorf("read Open vSwitch's answer: %w", err)
		}
		if message.Method != "" {
			continue
		}
		if len(message.Error) > 0 && string(message.Error) != "null" {
			return nil, fmt.Errorf("open vSwitch answers: %s", message.Error)
		}
		results, err := parseResults(message.Result)
		if err != nil {
			return nil, fmt.Errorf("read Open vSwitch's answer: %w", err)
		}
		for _, r := range results {
			if r.Error != "" {
				return nil, fmt.Errorf("open vSwitch answers: %s: %s", r.Error, r.Details)
			}
		}
		return results, nil
	}
}

// parseResults reads the results of operations. The library panics about sets that are not as the RFC has them.
func parseResults(raw []byte) (results []ovsdb.OperationResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not in the notation of RFC 7047: %v", p)
		}
	}()
	err = json.Unmarshal(raw, &results)
	return results, err
}

// rows selects columns of a table.
func (s Switch) rows(ctx context.Context, table string, columns []string, where ...ovsdb.Condition) ([]ovsdb.Row, error) {
	results, err := s.transact(ctx, ovsdb.Operation{Op: ovsdb.OperationSelect, Table: table, Columns: columns, Where: where})
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, fmt.Errorf("read Open vSwitch's answer: %d results for one question", len(results))
	}
	return results[0].Rows, nil
}
