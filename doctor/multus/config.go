package multus

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/near"
)

// Config is what an agent is told of a Multus configuration.
type Config struct {
	// Args are flags of tsunagu-agent.
	Args []string
	// Notes say what is different, and what to do, in the order of the keys.
	Notes []Note
}

// Note is about one key of the file.
type Note struct {
	Key string
	// Lost tells that what the key asks for is not done; else it is done without being told, or differently.
	Lost bool
	Text string
}

// file is a configuration while it is read.
type file struct {
	keys map[string]json.RawMessage
	// namespace is where definitions without one are looked for (multusNamespace).
	namespace string
	Config
}

// Parse reads a configuration: 00-multus.conf, or the thick plugin's daemon-config.json. The error names the place.
func Parse(text []byte) (Config, error) {
	f := &file{namespace: "kube-system"}
	if err := json.Unmarshal(text, &f.keys); err != nil {
		return Config{}, fmt.Errorf("read the configuration of Multus: %w", err)
	}
	if plugins, ok := f.keys["plugins"]; ok { // a conflist of one
		var list []map[string]json.RawMessage
		if err := json.Unmarshal(plugins, &list); err != nil || len(list) == 0 {
			return Config{}, errors.New(`read the configuration of Multus: "plugins" is not a list of plugins`)
		}
		f.keys = list[0]
	}
	if len(f.keys) == 0 {
		return Config{}, errors.New("read the configuration of Multus: it is empty")
	}
	if err := f.read("multusNamespace", &f.namespace); err != nil {
		return Config{}, err
	}
	for _, key := range slices.Sorted(maps.Keys(f.keys)) {
		take, ok := keys[key]
		if !ok {
			text := "is not a key of Multus"
			if meant := near.Names(key, slices.Collect(maps.Keys(keys))); len(meant) > 0 {
				text += "; near names: " + strings.Join(meant, ", ")
			}
			f.note(key, true, "%s", text)
			continue
		}
		if err := take(f, key); err != nil {
			return Config{}, err
		}
	}
	return f.Config, nil
}

func (f *file) read(key string, into any) error {
	raw, ok := f.keys[key]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read the configuration of Multus: %q: %w", key, err)
	}
	return nil
}

func (f *file) arg(format string, args ...any) { f.Args = append(f.Args, fmt.Sprintf(format, args...)) }

func (f *file) note(key string, lost bool, format string, args ...any) {
	f.Notes = append(f.Notes, Note{Key: key, Lost: lost, Text: fmt.Sprintf(format, args...)})
}

// qualified is the definition that Multus would look for first under a name.
func (f *file) qualified(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return f.namespace + "/" + name
}

// clusterNetwork is a definition, or the file of the network that stays.
func (f *file) clusterNetwork(key string) error {
	var name string
	if err := f.read(key, &name); err != nil || name == "" {
		return err
	}
	if path.IsAbs(name) {
		f.arg("--pod-network=existing")
		f.note(key, false, "the network of %s stays the one of every Pod's eth0: the agent takes the first file of --cni-conf-dir that is neither its own nor Multus', see that this is it", name)
		return nil
	}
	f.arg("--cluster-network=%s", f.qualified(name))
	f.note(key, false, "is looked for as network attachment definition %s only: if %q is the name of a file in confDir, make a definition of that name without spec.config", f.qualified(name), name)
	return nil
}

// delegates are configurations written into this one.
func (f *file) delegates(key string) error {
	var all []struct{ Name, Type string }
	if err := f.read(key, &all); err != nil || len(all) == 0 {
		return err
	}
	if _, other := f.keys["clusterNetwork"]; other {
		f.note(key, false, "is not read where clusterNetwork is set, as by Multus")
		return nil
	}
	f.arg("--pod-network=existing")
	f.note(key, true, "write delegates[0] (%s) into a file of its own in --cni-conf-dir: every Pod's eth0 is made by the first file there that is not tsunagu's", all[0].Name)
	for i, d := range all[1:] {
		f.note(key, true, "delegates[%d] (%s): make a network attachment definition of it, and add it to --default-networks", i+1, d.Name)
	}
	return nil
}

func (f *file) defaultNetworks(key string) error {
	var names, all []string
	if err := f.read(key, &names); err != nil {
		return err
	}
	for _, name := range names {
		if path.IsAbs(name) {
			f.note(key, true, "%s: make a network attachment definition of the file, and add it to --default-networks", name)
			continue
		}
		all = append(all, f.qualified(name))
	}
	if len(all) > 0 {
		f.arg("--default-networks=%s", strings.Join(all, ","))
	}
	return nil
}

func (f *file) systemNamespaces(key string) error {
	var all []string
	if err := f.read(key, &all); err != nil {
		return err
	}
	f.arg("--system-namespaces=%s", strings.Join(all, ","))
	f.note(key, false, "means the namespace of a Pod; some versions of Multus compare it with the Pod's name")
	return nil
}

func (f *file) isolation(key string) error {
	var yes bool
	if err := f.read(key, &yes); err == nil && yes {
		f.arg("--namespace-isolation")
	} else if err != nil {
		return err
	}
	return nil
}

func (f *file) global(key string) error {
	var list string
	if err := f.read(key, &list); err != nil {
		return err
	}
	all := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	if !slices.Contains(all, "default") {
		all = append(all, "default") // Multus always has it
	}
	f.arg("--global-namespaces=%s", strings.Join(all, ","))
	return nil
}

func (f *file) namespaceOfDefinitions(string) error {
	if f.namespace != "kube-system" {
		f.arg("--default-network-namespace=%s", f.namespace)
	}
	return nil
}

func (f *file) confDir(key string) error {
	var dir string
	if err := f.read(key, &dir); err != nil {
		return err
	}
	if dir = path.Clean(dir); dir != "/etc/cni/multus/net.d" {
		f.arg("--network-conf-dirs=%s,/etc/cni/net.d", dir)
	}
	return nil
}

// runtimeDir is a folder of the container runtime, as a flag where it is not the usual one.
func runtimeDir(standard, flag string) func(*file, string) error {
	return func(f *file, key string) error {
		var dir string
		if err := f.read(key, &dir); err != nil {
			return err
		}
		if dir = strings.TrimPrefix(path.Clean(dir), "/host"); dir != standard {
			f.arg("--%s=%s", flag, dir)
		}
		return nil
	}
}

func (f *file) logLevel(key string) error {
	var level string
	if err := f.read(key, &level); err != nil {
		return err
	}
	to, ok := map[string]string{"debug": "debug", "verbose": "info", "error": "error", "panic": "error"}[level]
	if !ok {
		f.note(key, true, "%q is none of debug, verbose, error, panic", level)
	} else if to != "info" {
		f.arg("--log-level=%s", to)
	}
	return nil
}
