package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// peer is the other side: the whereabouts CNI plugin as it is shipped, one process per call. It keeps what it knows at the API server,
// so a node is no more than a name in its environment.
type peer struct {
	options
	objects *peerObjects
	history oracle.History
	mu      sync.Mutex
	ranges  map[string]string       // of pools
	held    map[pod][]netip.Addr    // what ADDs were answered with
	prefix  map[string]netip.Prefix // of pools, parsed
}

func newPeer(ctx context.Context, o options) (*peer, error) {
	if _, err := os.Stat(o.whereabouts); err != nil {
		return nil, fmt.Errorf("the whereabouts plugin: %w", err)
	}
	p := &peer{options: o, ranges: map[string]string{}, held: map[pod][]netip.Addr{}, prefix: map[string]netip.Prefix{}}
	var err error
	if p.objects, err = newPeerObjects(o.kubeconfig); err != nil {
		return nil, err
	}
	// It does not start without a flat file.
	flat := fmt.Sprintf(`{"datastore":"kubernetes","kubernetes":{"kubeconfig":%q},"log_level":"error"}`, o.kubeconfig)
	if err := os.WriteFile(p.flat(), []byte(flat), 0o600); err != nil {
		return nil, err
	}
	return p, p.objects.define(ctx)
}

func (p *peer) flat() string { return filepath.Join(p.dir, "whereabouts.conf") }

func (p *peer) pool(_ context.Context, name, cidr string) error {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ranges[name], p.prefix[name] = cidr, prefix
	return nil
}

func (p *peer) add(ctx context.Context, who pod, ip string) error {
	out, err := p.call(ctx, "ADD", who, ip)
	if err != nil {
		return err
	}
	var result struct {
		IPs []struct{ Address netip.Prefix }
	}
	if err := json.Unmarshal(out, &result); err != nil || len(result.IPs) == 0 {
		return &refusal{"NoAddress", fmt.Sprintf("%v: %s", err, out)}
	}
	for _, got := range result.IPs {
		p.mu.Lock()
		p.held[who] = append(p.held[who], got.Address.Addr())
		p.mu.Unlock()
		p.history.Begin(domainOf(who.pool), got.Address.Addr(), holder(who))
	}
	return nil
}

func (p *peer) del(ctx context.Context, who pod) error {
	p.mu.Lock()
	held := p.held[who]
	delete(p.held, who)
	p.mu.Unlock()
	for _, a := range held {
		p.history.End(domainOf(who.pool), a, holder(who))
	}
	_, err := p.call(ctx, "DEL", who, "")
	return err
}

func holder(who pod) oracle.Holder { return oracle.Holder{ContainerID: who.name, IfName: "net1"} }

// call executes the plugin as a delegating plugin does.
func (p *peer) call(ctx context.Context, verb string, who pod, ip string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	p.mu.Lock()
	subnet := p.ranges[who.pool]
	p.mu.Unlock()
	config := fmt.Sprintf(`{"cniVersion":"1.0.0","name":%q,"type":"macvlan","ipam":{"type":"whereabouts","range":%q,"network_name":%q,`+
		`"configuration_path":%q,"kubernetes":{"kubeconfig":%q},"log_level":"error"}}`, who.pool, subnet, domainOf(who.pool), p.flat(), p.kubeconfig)
	args := "IgnoreUnknown=1;K8S_POD_NAMESPACE=" + namespace + ";K8S_POD_NAME=" + who.name + ";K8S_POD_INFRA_CONTAINER_ID=" + who.name
	if ip != "" { // it takes no address without a length
		_, length, _ := strings.Cut(subnet, "/")
		args += ";IP=" + ip + "/" + length
	}
	cmd := exec.CommandContext(ctx, p.whereabouts)
	cmd.Env = []string{"CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + who.name, "CNI_NETNS=" + p.netns, "CNI_IFNAME=net1", "CNI_PATH=" + filepath.Dir(p.whereabouts),
		"CNI_ARGS=" + args, fmt.Sprintf("NODENAME=fleet-%d", who.node+1), "WHEREABOUTS_NAMESPACE=" + peerNamespace}
	cmd.Stdin = strings.NewReader(config)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	var e struct{ Msg, Details string }
	if json.Unmarshal(out.Bytes(), &e) != nil {
		return nil, &refusal{"Crashed", fmt.Sprintf("%v: %s", err, errs.String())}
	}
	return nil, &refusal{class(e.Msg), e.Msg}
}

// class groups the plugin's messages.
func class(message string) string {
	for _, c := range []struct{ words, class string }{
		{"waiting to become leader", "LeaderTimeout"},
		{"rate limiter", "RateLimited"},
		{"deadline exceeded", "Timeout"},
		{"Could not allocate IP in range", "PoolFull"},
	} {
		if strings.Contains(message, c.words) {
			return c.class
		}
	}
	return "Error"
}

func (p *peer) uses() *oracle.History { return &p.history }

func (p *peer) allocated(ctx context.Context) ([]oracle.Use, error) {
	p.mu.Lock()
	prefixes := map[string]netip.Prefix{}
	for name, prefix := range p.prefix {
		prefixes[poolObject(name, p.ranges[name])] = prefix
	}
	p.mu.Unlock()
	pools, err := p.objects.pools(ctx)
	var out []oracle.Use
	for _, o := range pools {
		for offset, x := range o.Spec.Allocations {
			if strings.HasPrefix(x.PodRef, stranger) {
				continue
			}
			a, bad := plus(prefixes[o.Metadata.Name].Addr(), offset)
			err = errors.Join(err, bad)
			domain, _, _ := strings.Cut(o.Metadata.Name, "-")
			out = append(out, oracle.Use{Domain: domain, Address: a, Holder: oracle.Holder{ContainerID: x.ID, IfName: x.IfName}})
		}
	}
	return out, err
}

// fill writes allocations as the plugin does, and the reservations that it makes for overlapping ranges.
func (p *peer) fill(ctx context.Context, pool string, count int) (bool, error) {
	p.mu.Lock()
	cidr, prefix := p.ranges[pool], p.prefix[pool]
	p.mu.Unlock()
	return true, p.objects.fill(ctx, pool, cidr, prefix, count)
}

func (p *peer) reset(ctx context.Context) error { return p.objects.clear(ctx) }
