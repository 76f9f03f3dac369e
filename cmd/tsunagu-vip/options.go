package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/tsunagu-net/tsunagu/bgp"
	"github.com/tsunagu-net/tsunagu/vip"
	"github.com/tsunagu-net/tsunagu/vip/lease"
	"github.com/tsunagu-net/tsunagu/vip/vrrp"
)

// options are the flags, read.
type options struct {
	version   bool
	check     bool
	addresses []netip.Addr
	device    string
	node      netip.Addr
	peers     []netip.Addr
	join      []netip.Addr
	first     string
	timing    lease.Timing
	weight    int
	preempt   bool
	port      uint16
	keyFiles  []string
	mode      string
	vrrp      vrrp.Config
	routes    routing
	bgp       bgp.Config
	object    object
	published published
	// nodeName is this node's in Leases.
	nodeName string

	bgpPasswordFile string

	apiPort  uint16
	health   string
	proxy    string
	servers  []netip.AddrPort
	stateDir string
	runDir   string
	http     string
	logLevel slog.Level
}

// parse reads the command line, and the file that it names: what the line does not say the file may.
func parse(args []string, out io.Writer) (options, error) {
	o := options{}
	f := flag.NewFlagSet("tsunagu-vip", flag.ContinueOnError)
	f.SetOutput(out)
	f.BoolVar(&o.version, "version", false, "print the version and end")
	f.BoolVar(&o.check, "check", false, "look whether the address would work on this node, print what was found as JSON, and end (tsunagu vip check)")
	config := f.String("config", "", "YAML file with the flags' names and values")
	addresses := f.String("address", "", `comma list of the control plane's addresses; without any, only the proxy runs (a worker)`)
	f.StringVar(&o.device, "interface", "", "interface on the addresses' segment (default: the one with the first address in its subnet)")
	node := f.String("node-address", "", "address under which the other control-plane nodes reach this one (default: the interface's own)")
	peers := f.String("peers", "", "comma list of all control-plane nodes' addresses, if they are known beforehand")
	join := f.String("join", "", "comma list of addresses to ask to be taken in (default: the control plane's address)")
	f.StringVar(&o.first, "first", "auto", "which node is the first and may begin alone: its address, yes (this one), no (another), auto (the one where kubeadm init runs)")
	timing := f.String("timing", "default", "how fast a lost node is noticed: fast (200ms), default (400ms), wan (2s)")
	f.IntVar(&o.weight, "weight", 1, "preference of this node; 0 makes a witness, which never has the address")
	f.BoolVar(&o.preempt, "preempt", false, "move the address to a node of more weight as soon as there is one")
	port := f.Uint("port", vip.DefaultPort, "UDP port between the nodes")
	keys := f.String("key-file", strings.Join(secrets, ","), "comma list of files; the first that exists has the secret that all control-plane nodes share")
	f.StringVar(&o.nodeName, "node-name", "", "name of this node in Leases of the API server, which no other node has (default: the host's, in lower case)")
	settle := modeFlags(f, &o)
	apiPort := f.Uint("api-port", 6443, "port of the API servers, on the address too")
	f.StringVar(&o.health, "health", "", `URL that tells whether the node's API server is ready (default: https://127.0.0.1:API-PORT/readyz); "none": never asked`)
	f.StringVar(&o.proxy, "proxy", "127.0.0.1:7443", `where this node's programs reach an API server, whichever works; "" for nowhere`)
	servers := f.String("servers", "", "comma list of API servers (address or address:port) for the proxy, besides the members and those that were found before")
	f.StringVar(&o.stateDir, "state-dir", "/var/lib/tsunagu/vip", "folder of what must be kept over reboots")
	f.StringVar(&o.runDir, "run-dir", "/run/tsunagu-vip", "folder of the control socket; it must be emptied by a reboot")
	f.StringVar(&o.http, "http", "127.0.0.1:9872", `address of /metrics, /status, /healthz and /readyz; "" for none`)
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	if err := f.Parse(args); err != nil || o.version {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("argument %q is not understood: there are only flags (-h lists them)", f.Arg(0))
	}
	if *config != "" {
		if err := fromFile(f, *config); err != nil {
			return o, err
		}
	}
	var errs []error
	list := func(name, text string) (all []netip.Addr) {
		for _, word := range split(text) {
			a, err := netip.ParseAddr(word)
			if err != nil || a.Zone() != "" {
				errs = append(errs, fmt.Errorf("--%s: %q is no IP address", name, word))
				continue
			}
			all = append(all, a.Unmap())
		}
		return all
	}
	o.addresses, o.peers, o.join = list("address", *addresses), list("peers", *peers), list("join", *join)
	if one := list("node-address", *node); len(one) > 0 {
		o.node = one[0]
	}
	var err error
	if o.timing, err = lease.TimingNamed(*timing); err != nil {
		errs = append(errs, fmt.Errorf("--timing: %w", err))
	}
	if a, err := netip.ParseAddr(o.first); err == nil {
		o.first = a.String()
	} else if !slices.Contains([]string{"yes", "no", "auto"}, o.first) {
		errs = append(errs, fmt.Errorf("--first: %q is neither an address nor one of yes, no, auto", o.first))
	}
	if *port == 0 || *port > 65535 || *apiPort == 0 || *apiPort > 65535 {
		errs = append(errs, errors.New("--port and --api-port: a port is a number from 1 to 65535"))
	}
	o.port, o.apiPort, o.keyFiles = uint16(*port), uint16(*apiPort), split(*keys)
	if o.health == "" {
		o.health = fmt.Sprintf("https://127.0.0.1:%d/readyz", o.apiPort)
	}
	for _, word := range split(*servers) {
		s, err := server(word, o.apiPort)
		if err != nil {
			errs = append(errs, fmt.Errorf("--servers: %w", err))
		}
		o.servers = append(o.servers, s)
	}
	if o.nodeName == "" {
		host, err := os.Hostname()
		if err != nil {
			errs = append(errs, fmt.Errorf("look up this node's name: %w", err))
		}
		o.nodeName = strings.ToLower(host)
	}
	errs = append(errs, settle(o))
	if len(o.addresses) == 0 && (o.proxy == "" || len(o.servers) == 0) {
		errs = append(errs, errors.New("nothing to do: --address names the control plane's address; on a worker --servers names what the proxy leads to"))
	}
	return o, errors.Join(errs...)
}

// fromFile sets the flags that the command line did not.
func fromFile(f *flag.FlagSet, path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(raw, &values); err != nil {
		return fmt.Errorf("--config %s: %w", path, err)
	}
	given := map[string]bool{}
	f.Visit(func(x *flag.Flag) { given[x.Name] = true })
	for name, value := range values {
		if given[name] {
			continue
		}
		text := fmt.Sprint(value)
		if all, ok := value.([]any); ok {
			words := make([]string, len(all))
			for i, one := range all {
				words[i] = fmt.Sprint(one)
			}
			text = strings.Join(words, ",")
		}
		if f.Lookup(name) == nil || name == "config" {
			return fmt.Errorf("--config %s: %q is no flag (-h lists them)", path, name)
		}
		if err := f.Set(name, text); err != nil {
			return fmt.Errorf("--config %s: %s: %w", path, name, err)
		}
	}
	return nil
}

// server reads an address with or without a port.
func server(word string, port uint16) (netip.AddrPort, error) {
	if s, err := netip.ParseAddrPort(word); err == nil {
		return s, nil
	}
	a, err := netip.ParseAddr(strings.Trim(word, "[]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is neither an address nor address:port", word)
	}
	return netip.AddrPortFrom(a, port), nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// join is a list as people write it.
func join(all []netip.Addr) string {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
