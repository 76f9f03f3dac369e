package ipam

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// A quota of N addresses of a pool for a namespace is a pool of N tokens in a
// domain of its own. Whoever takes an address of the pool takes a token with
// it, in the same commit and the same record of the log, and gives both back
// together. Tokens are leased to nodes in blocks as addresses are: the quota is
// exact over all nodes because no token is ever given twice, and it costs no
// write while a node has tokens.

// quotaPrefix begins the domains of tokens. No pool can have such a domain.
const quotaPrefix = "q--"

// QuotaLabel is set on regions, blocks and addresses that are of tokens, which
// are no addresses.
const QuotaLabel = "tsunagu.dev/quota"

// IsQuota tells whether a domain is of the tokens of a quota. What is leased or
// bound in it is no address.
func IsQuota(domain string) bool { return strings.HasPrefix(domain, quotaPrefix) }

// mostTokens is the largest quota that counts.
const mostTokens = 1 << 20

func quotaDomain(p *Pool, namespace string) string {
	sum := sha256.Sum256([]byte(p.Domain + "\n" + p.Name + "\n" + namespace))
	return quotaPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))
}

// newTokens is the pool of the tokens of a namespace's quota. Without a token
// it has no spans.
func newTokens(p *Pool, namespace string, most int) Pool {
	most = min(most, mostTokens)
	t := Pool{Name: fmt.Sprintf("%s (quota of namespace %s)", p.Name, namespace), Domain: quotaDomain(p, namespace), Whole: true, Policy: Policy{Lowest: true}}
	first := netip.AddrFrom4([4]byte{})
	t.Prefix = netip.PrefixFrom(first, 32-max(8, bits.Len(uint(max(most-1, 0)))))
	if most <= 0 {
		t.Exclude = []Range{RangeOf(t.Prefix)}
		return t.parsed()
	}
	n := most - 1
	t.Ranges = []Range{{first, netip.AddrFrom4([4]byte{0, byte(n >> 16), byte(n >> 8), byte(n)})}}
	return t.parsed()
}

// tokens is the pool of the tokens that an address of p costs a namespace, nil
// if none. Called with mu held.
func (a *Allocator) tokens(p *Pool, namespace string) *Pool {
	most, ok := p.Quota(namespace)
	if !ok || namespace == "" || p.Local {
		return nil
	}
	key := tokenKey{p.Domain, p.Name, namespace, most}
	t := a.quotas[key]
	if t == nil {
		if len(a.quotas) > mostQuotas {
			clear(a.quotas)
		}
		made := newTokens(p, namespace, most)
		t = &made
		a.quotas[key] = t
	}
	return t
}

// tokenKey is a quota as it is written now.
type tokenKey struct {
	domain, pool, namespace string
	most                    int
}

// mostQuotas is how many are remembered. They are only remembered because they
// take a microsecond to make.
const mostQuotas = 4096

// obtainToken makes a token possible, as obtain does an address. The refusal is
// the quota's.
func (a *Allocator) obtainToken(ctx context.Context, owner Owner, requests []request, r *request) (slot, error) {
	p := r.pool()
	a.mu.Lock()
	t := a.tokens(p, owner.Namespace)
	need := 0
	for i := range requests {
		if other := a.tokens(requests[i].pool(), owner.Namespace); other != nil && other.Domain == t.Domain {
			need++
		}
	}
	a.mu.Unlock()
	most, _ := p.Quota(owner.Namespace)
	if len(t.spans) == 0 {
		return slot{}, exceeded(p, owner.Namespace, most, 0, "")
	}
	a.metrics.misses.WithLabelValues("claim").Inc()
	err := a.acquire(ctx, *t, need)
	var full *exhausted
	if !errors.As(err, &full) {
		return slot{}, err
	}
	soon, cancel := a.soon(ctx)
	defer cancel()
	s, err := a.steal(soon, owner, t, full, ClaimRef{})
	if ReasonOf(err) == PoolFull {
		return slot{}, exceeded(p, owner.Namespace, most, full.all, full.idle())
	}
	s.token = true
	return s, err
}

// idle names nodes that have of the pool what they do not use.
func (e *exhausted) idle() string {
	var nodes []string
	for _, b := range e.blocks {
		spare := e.pool.mask(b.Prefix) &^ (b.Used | b.Holes)
		if b.Node != e.node && spare != 0 && !slices.Contains(nodes, b.Node) {
			nodes = append(nodes, b.Node)
		}
	}
	slices.Sort(nodes)
	return strings.Join(nodes[:min(len(nodes), 3)], ", ")
}

func exceeded(p *Pool, namespace string, most, held int, idle string) error {
	r := &Refusal{Reason: QuotaExceeded, Message: fmt.Sprintf("namespace %s holds %d of %d addresses of pool %s", namespace, held, most, p.Name),
		Fix: fmt.Sprintf("delete Pods of the namespace that have addresses of it, or raise its quota in IPPool %s", p.Name)}
	switch {
	case most == 0:
		r.Message = fmt.Sprintf("namespace %s may hold no address of pool %s: its quota is 0", namespace, p.Name)
	case held < most && idle != "":
		r.Message += "; the others are set aside on nodes that do not give them up: " + idle
	case held > most:
		r.Message += ": the quota was lowered"
	}
	return r
}
