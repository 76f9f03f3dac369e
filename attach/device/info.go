package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Info is what a device plugin has written about a device (device information specification 1.1), for the Pod's network-status. Nil is
// nothing written.
func (k Kubelet) Info(resource, id string) (json.RawMessage, error) {
	flat := strings.NewReplacer("/", "-")
	name := filepath.Join(or(k.Infos, Infos), flat.Replace(resource)+"-"+flat.Replace(id)+"-device.json")
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what a device plugin says of %s: %w", id, err)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(content, &object); err != nil || object["type"] == nil {
		return nil, fmt.Errorf("read what a device plugin says of %s: %s is no device information", id, name)
	}
	return content, nil
}
