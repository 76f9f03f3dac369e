package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

var flannelTwice = Check{
	Code:  "TSU7324",
	Title: "definitions of flannel are one network",
	Explain: `flannel's plugin reads which subnet it may use from a file that flanneld writes, and there is one flanneld on a node. Two definitions with one file give addresses of one ` +
		`subnet, over one device, from two lists that do not know each other.`,
	Needs: []Part{Definitions},
	Look: func(s *Snapshot) []Finding {
		by := map[string][]string{}
		for _, d := range s.Definitions {
			var c struct {
				Type       string
				SubnetFile string
				Plugins    []struct{ Type, SubnetFile string }
			}
			if json.Unmarshal([]byte(d.Spec.Config), &c) != nil {
				continue
			}
			if len(c.Plugins) > 0 {
				c.Type, c.SubnetFile = c.Plugins[0].Type, c.Plugins[0].SubnetFile
			}
			if c.Type != "flannel" {
				continue
			}
			if c.SubnetFile == "" {
				c.SubnetFile = "/run/flannel/subnet.env"
			}
			by[c.SubnetFile] = append(by[c.SubnetFile], d.Namespace+"/"+d.Name)
		}
		var found []Finding
		for _, file := range slices.Sorted(maps.Keys(by)) {
			if len(by[file]) < 2 {
				continue
			}
			namespace, name, _ := strings.Cut(by[file][1], "/")
			found = append(found, Finding{Severity: Warning, Object: Object{"NetworkAttachmentDefinition", namespace, name},
				Cause:  fmt.Sprintf("%s all read %s", strings.Join(by[file], ", "), file),
				Breaks: "they are not apart, and two Pods may have one address",
				Fix:    "keep one; for a second network of its own use a Network of tsunagu"})
		}
		return found
	},
}
