package primary

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/install"
)

// Conf is a configuration of a folder.
type Conf struct {
	// File is its path, Text what is in it, Name the network's name.
	File, Name, Text string
	// Capabilities are those that any of its plugins declares, in order.
	Capabilities []string
}

// mostConf bounds a configuration file.
const mostConf = 1 << 20

// loaded are the endings of files that runtimes look at.
var loaded = []string{".conf", ".conflist", ".json"}

// foreigners are types of first plugins that would call us again, or each other in a circle.
var foreigners = []string{install.ShimName, "multus", "multus-shim"}

// Find reads the configurations of a folder in the order of their names, and gives the first that fits. The error names what was
// looked at.
func Find(dir string, fits func(Conf) bool) (Conf, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Conf{}, fmt.Errorf("there is no folder %s on this node", dir)
	}
	if err != nil {
		return Conf{}, fmt.Errorf("list %s: %w", dir, err)
	}
	var looked []string
	for _, e := range entries { // in order
		if e.IsDir() || !slices.Contains(loaded, filepath.Ext(e.Name())) {
			continue
		}
		c, err := read(filepath.Join(dir, e.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			looked = append(looked, e.Name()+" ("+err.Error()+")")
		case fits(c):
			return c, nil
		default:
			looked = append(looked, fmt.Sprintf("%s (%q)", e.Name(), c.Name))
		}
	}
	if len(looked) == 0 {
		return Conf{}, fmt.Errorf("there is no configuration in %s", dir)
	}
	return Conf{}, fmt.Errorf("none in %s, which has %s", dir, strings.Join(looked, ", "))
}

// Primary finds the network that the node had before.
func Primary(dir string) (Conf, error) {
	return Find(dir, func(c Conf) bool { return !slices.Contains(foreigners, c.first()) })
}

func read(path string) (Conf, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Conf{}, err
	}
	if info.Size() > mostConf {
		return Conf{}, errors.New("is too large")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Conf{}, err
	}
	if text, err = beside(filepath.Dir(path), text); err != nil {
		return Conf{}, err
	}
	c, err := Parse(text)
	c.File = path
	return c, err
}

type plugin struct {
	Type         string          `json:"type"`
	Capabilities map[string]bool `json:"capabilities"`
}

// Parse reads a configuration, of one plugin or a list.
func Parse(text []byte) (Conf, error) {
	var conf struct {
		plugin
		Name    string   `json:"name"`
		Plugins []plugin `json:"plugins"`
	}
	if err := json.Unmarshal(text, &conf); err != nil {
		return Conf{}, errors.New("is no CNI configuration: " + err.Error())
	}
	if len(conf.Plugins) == 0 {
		conf.Plugins = []plugin{conf.plugin}
	}
	if conf.Name == "" || conf.Plugins[0].Type == "" {
		return Conf{}, errors.New(`is no CNI configuration: it has no "name" or no "type"`)
	}
	capabilities := map[string]bool{}
	for _, p := range conf.Plugins {
		for name, yes := range p.Capabilities {
			if yes {
				capabilities[name] = true
			}
		}
	}
	return Conf{Name: conf.Name, Text: string(text), Capabilities: slices.Sorted(maps.Keys(capabilities))}, nil
}

// first is the type of the first plugin.
func (c Conf) first() string {
	var conf struct {
		plugin
		Plugins []plugin `json:"plugins"`
	}
	_ = json.Unmarshal([]byte(c.Text), &conf) // was read before
	if len(conf.Plugins) > 0 {
		return conf.Plugins[0].Type
	}
	return conf.Type
}
