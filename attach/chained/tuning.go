package chained

import (
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// Tuning changes properties of an interface. Where the interface is built in, MAC and MTU are given to it when it is made: the chain
// finds them as they should be.
type Tuning struct {
	// MAC is nil, MTU 0 for leaving it as it is.
	MAC net.HardwareAddr
	MTU int
}

// Type is the plugin's name.
func (Tuning) Type() string { return "tuning" }

// tuningPassed are keys of CNI itself that tuning has too, and those that ask for nothing by themselves.
var tuningPassed = []string{"type", "name", "cniVersion", "capabilities", "dataDir"}

func parseTuning(raw []byte) (Spec, error) {
	var t Tuning
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, kind.BadConfig{Type: "tuning", Message: err.Error()}
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		value := fields[field]
		var err error
		switch {
		case slices.Contains(tuningPassed, field), empty(value):
		case field == "mac":
			var text string
			if err = json.Unmarshal(value, &text); err == nil {
				t.MAC, err = kind.ParseMAC(text)
			}
		case field == "mtu":
			if err = json.Unmarshal(value, &t.MTU); err == nil && t.MTU != 0 && (t.MTU < 68 || t.MTU > 65535) {
				return nil, kind.BadConfig{Type: "tuning", Field: "mtu", Message: string(value) + " is not an MTU, it is 68 to 65535"}
			}
		default:
			return nil, kind.Unsupported{Type: "tuning", Field: field, Message: "it is not built in"}
		}
		if err != nil {
			return nil, kind.BadConfig{Type: "tuning", Field: field, Message: err.Error()}
		}
	}
	return t, nil
}

// empty tells that a key has a value that asks for nothing.
func empty(value json.RawMessage) bool {
	return slices.Contains([]string{"null", `""`, "[]", "{}"}, strings.Join(strings.Fields(string(value)), ""))
}
