package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/kube"
)

const (
	peerNamespace = "kube-system"
	peerGroup     = "whereabouts.cni.cncf.io"
	peerPath      = "/apis/" + peerGroup + "/v1alpha1/namespaces/" + peerNamespace + "/"
	poolsPath     = peerPath + "ippools"
	reservedPath  = peerPath + "overlappingrangeipreservations"
	// stranger begins the Pod references of what fill writes.
	stranger = "stranger/"
)

// peerObjects are the objects that whereabouts keeps, written down from its documented schema.
type peerObjects struct {
	http *http.Client
	host string
}

func newPeerObjects(kubeconfig string) (*peerObjects, error) {
	cfg, err := kube.Config(kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(cfg)
	return &peerObjects{client, strings.TrimSuffix(cfg.Host, "/")}, err
}

// peerPool is an IPPool of whereabouts: allocations by the offset from the network address.
type peerPool struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Range       string                    `json:"range"`
		Allocations map[string]peerAllocation `json:"allocations"`
	} `json:"spec"`
}

type peerAllocation struct {
	ID     string `json:"id"`
	PodRef string `json:"podref"`
	IfName string `json:"ifname,omitempty"`
}

// poolObject is the name of a pool's object.
func poolObject(pool, cidr string) string {
	return domainOf(pool) + "-" + strings.NewReplacer(":", "-", "/", "-").Replace(cidr)
}

func plus(base netip.Addr, offset string) (netip.Addr, error) {
	n, err := strconv.ParseUint(offset, 10, 32)
	if err != nil || !base.Is4() {
		return netip.Addr{}, fmt.Errorf("allocation %q of the pool at %s is not understood", offset, base)
	}
	b := base.As4()
	v := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3]) + n
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), nil
}

func (p *peerObjects) pools(ctx context.Context) ([]peerPool, error) {
	var list struct{ Items []peerPool }
	err := p.call(ctx, "GET", poolsPath, nil, &list)
	return list.Items, err
}

// clear removes all of it, and waits until it is gone.
func (p *peerObjects) clear(ctx context.Context) error {
	for _, path := range []string{poolsPath, reservedPath} {
		if err := p.call(ctx, "DELETE", path, nil, nil); err != nil {
			return err
		}
		for {
			var list struct{ Items []json.RawMessage }
			if err := p.call(ctx, "GET", path, nil, &list); err != nil || len(list.Items) == 0 {
				if err != nil {
					return err
				}
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return nil
}

// fill writes the lowest addresses of a pool down as others'.
func (p *peerObjects) fill(ctx context.Context, pool, cidr string, prefix netip.Prefix, count int) error {
	o := peerPool{APIVersion: peerGroup + "/v1alpha1", Kind: "IPPool"}
	o.Metadata.Name, o.Spec.Range, o.Spec.Allocations = poolObject(pool, cidr), cidr, map[string]peerAllocation{}
	for i := 1; i <= count; i++ {
		who := fmt.Sprintf("%s%s-%d", stranger, pool, i)
		o.Spec.Allocations[strconv.Itoa(i)] = peerAllocation{ID: "stranger", PodRef: who, IfName: "net1"}
		if count > mostReserved {
			continue
		}
		a, err := plus(prefix.Addr(), strconv.Itoa(i))
		if err != nil {
			return err
		}
		reserved := map[string]any{"apiVersion": peerGroup + "/v1alpha1", "kind": "OverlappingRangeIPReservation",
			"metadata": map[string]string{"name": domainOf(pool) + "-" + a.String()}, "spec": map[string]string{"podref": who, "containerid": "stranger", "ifname": "net1"}}
		if err := p.call(ctx, "POST", reservedPath, reserved, nil); err != nil {
			return err
		}
	}
	return p.call(ctx, "POST", poolsPath, o, nil)
}

// mostReserved is up to where reservations are written too; thousands of them matter to nobody: it reads them one by one by name.
const mostReserved = 500

// define makes the definitions and waits until they are served.
func (p *peerObjects) define(ctx context.Context) error {
	for _, d := range []struct{ kind, plural, spec string }{
		{"IPPool", "ippools", `{"type":"object","required":["allocations","range"],"properties":{"range":{"type":"string"},"allocations":{"type":"object",
"additionalProperties":{"type":"object","required":["id","podref"],"properties":{"id":{"type":"string"},"podref":{"type":"string"},"ifname":{"type":"string"}}}}}}`},
		{"OverlappingRangeIPReservation", "overlappingrangeipreservations", `{"type":"object","required":["podref"],"properties":{
"podref":{"type":"string"},"containerid":{"type":"string"},"ifname":{"type":"string"}}}`},
	} {
		text := fmt.Sprintf(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"%[2]s.%[3]s"},"spec":{"group":%[3]q,
"scope":"Namespaced","names":{"kind":%[1]q,"listKind":"%[1]sList","plural":%[2]q,"singular":%[4]q},"versions":[{"name":"v1alpha1","served":true,"storage":true,
"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":%[5]s}}}}]}}`, d.kind, d.plural, peerGroup, strings.ToLower(d.kind), d.spec)
		if err := p.call(ctx, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json.RawMessage(text), nil); err != nil {
			return err
		}
	}
	end := time.Now().Add(20 * time.Second)
	for {
		err := p.call(ctx, "GET", reservedPath, nil, nil)
		if err == nil {
			err = p.call(ctx, "GET", poolsPath, nil, nil)
		}
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (p *peerObjects) call(ctx context.Context, method, path string, body, into any) error {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.host+path, reader)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, raw)
	case into == nil:
		return nil
	}
	return json.Unmarshal(raw, into)
}
