package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
)

// span are the addresses that a node's file of host-local gives out.
type span struct {
	file, network string
	from, to      netip.Addr
}

var nodeFilesOverlap = Check{
	Code:  "TSU7304",
	Title: "files of several nodes give out the same addresses",
	Explain: `Multus reads a definition without a config from a file of the node. Ranges that were split by hand hold until two files overlap, or until the ` +
		`definition gets a config: then the files no longer count.`,
	Needs: []Part{Lines},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		var seen []span
		for _, t := range s.Texts {
			mine, ok := spanOf(t)
			if !ok {
				continue
			}
			f := Finding{Severity: Error, Object: Object{Kind: "File", Name: t.Name}, Breaks: "two Pods on two nodes get one address",
				Fix: "one definition for the cluster with ipam type tsunagu, and no files on nodes"}
			for i := range s.Definitions {
				if d := &s.Definitions[i]; d.Name == mine.network && d.Spec.Config != "" {
					f.Cause = fmt.Sprintf("it is not read: NetworkAttachmentDefinition %s/%s has a config, and its ranges are no longer split by node", d.Namespace, d.Name)
				}
			}
			i := slices.IndexFunc(seen, func(o span) bool {
				return o.network == mine.network && o.from.Compare(mine.to) <= 0 && mine.from.Compare(o.to) <= 0
			})
			if i >= 0 && f.Cause == "" {
				f.Cause = fmt.Sprintf("%s to %s of network %s overlap %s to %s in %s", mine.from, mine.to, mine.network, seen[i].from, seen[i].to, seen[i].file)
			}
			if f.Cause != "" {
				found = append(found, f)
			}
			seen = append(seen, mine)
		}
		return found
	},
}

// ipamType is the type of a section ipam, "" without one.
func ipamType(raw json.RawMessage) string {
	var conf struct{ Type string }
	if json.Unmarshal(raw, &conf) != nil {
		return ""
	}
	return conf.Type
}

// spanOf reads a CNI configuration with the first range of host-local.
func spanOf(t Text) (one span, ok bool) {
	if !bytes.HasPrefix(bytes.TrimSpace([]byte(t.Text)), []byte("{")) {
		return one, false
	}
	plugins, err := parsePlugins(t.Text)
	var conf struct{ Name string }
	if err != nil || json.Unmarshal([]byte(t.Text), &conf) != nil || ipamType(plugins[0].IPAM) != "host-local" {
		return one, false
	}
	type bounds struct {
		Subnet     netip.Prefix `json:"subnet"`
		RangeStart netip.Addr   `json:"rangeStart"`
		RangeEnd   netip.Addr   `json:"rangeEnd"`
	}
	var section struct {
		bounds
		Ranges [][]bounds `json:"ranges"`
	}
	if json.Unmarshal(plugins[0].IPAM, &section) != nil {
		return one, false
	}
	b := section.bounds
	if len(section.Ranges) > 0 && len(section.Ranges[0]) > 0 {
		b = section.Ranges[0][0]
	}
	return span{t.Name, conf.Name, b.RangeStart, b.RangeEnd}, b.RangeStart.IsValid() && b.RangeEnd.IsValid()
}
