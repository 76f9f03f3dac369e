package primary

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// beside puts the plugins behind a list that stand in files of their own: *.conf of a folder of the network's name, in the order of their
// names, unless the list says loadOnlyInlinedPlugins (CNI spec 1.1.0 section 1). A single plugin's configuration stays as it is.
func beside(dir string, text []byte) ([]byte, error) {
	var list struct {
		Name    string            `json:"name"`
		Type    string            `json:"type"`
		Plugins []json.RawMessage `json:"plugins"`
		Alone   any               `json:"loadOnlyInlinedPlugins"`
	}
	if json.Unmarshal(text, &list) != nil || list.Type != "" || list.Name == "" || strings.ContainsRune(list.Name, '/') || list.Name == ".." {
		return text, nil // Parse says what is wrong
	}
	if said, isText := list.Alone.(string); list.Alone == true || isText && strings.EqualFold(said, "true") {
		return text, nil
	}
	folder := filepath.Join(dir, list.Name)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return text, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, err)
	}
	found := false
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) != ".conf" {
			continue
		}
		one, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		if !json.Valid(one) || len(one) > mostConf {
			return nil, fmt.Errorf("%s is no configuration of a plugin", filepath.Join(list.Name, e.Name()))
		}
		list.Plugins, found = append(list.Plugins, one), true
	}
	if !found {
		return text, nil
	}
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, err
	}
	if whole["plugins"], err = json.Marshal(list.Plugins); err != nil {
		return nil, err
	}
	return json.Marshal(whole)
}
