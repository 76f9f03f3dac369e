package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

func lossy(name, cidr string, policy v1alpha1.NodeLossPolicy) *v1alpha1.IPPool {
	p := ipPool(name, cidr)
	p.Spec.NodeLoss = policy
	return &p
}

func TestStrictestPolicyHolds(t *testing.T) {
	tokens := lossy("limited", "10.0.9.0/24", v1alpha1.OutOfService)
	tokens.Spec.Quotas = []v1alpha1.NamespaceQuota{{Namespace: "a", Max: 5}}
	l := newLossPolicies([]v1alpha1.IPPool{
		*lossy("soon", "10.0.0.0/16", v1alpha1.OutOfService), *lossy("plain", "10.0.1.0/24", ""), *lossy("never", "10.0.2.0/24", v1alpha1.Never),
		*tokens, ipPool("broken", "x"),
	})
	for _, c := range []struct {
		domain, cidr string
		want         v1alpha1.NodeLossPolicy
	}{
		{"blue", "10.0.0.0/26", v1alpha1.OutOfService},
		{"blue", "10.0.1.64/26", v1alpha1.PodDeleted},
		{"blue", "10.0.2.0/32", v1alpha1.Never},
		{"red", "10.0.2.0/32", v1alpha1.PodDeleted},
		{"blue", "10.9.0.0/26", v1alpha1.PodDeleted},
		{"q--abc", "0.0.0.0/28", v1alpha1.OutOfService},
	} {
		b := block(c.domain, c.cidr)
		if got := l.of(&b); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.domain, c.cidr, got, c.want)
		}
	}
	a := address("blue", "10.0.2.9")
	if got := l.of(&a); got != v1alpha1.Never {
		t.Errorf("address: %s", got)
	}
}

func state(t *testing.T, c client.Client, b *v1alpha1.IPBlock) v1alpha1.IPBlockState {
	t.Helper()
	var now v1alpha1.IPBlock
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(b), &now); err != nil {
		t.Fatal(err)
	}
	return now.Spec.State
}

// A node that somebody vouches is down, and that has no Pods left, gives up
// what is of pools that say so, unless it turns out to run.
func TestSweepOfANodeOutOfService(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "u1"}}
	mine, default_, never := block("blue", "10.0.0.0/26"), block("blue", "10.0.1.0/26"), block("blue", "10.0.2.0/26")
	bound := address("blue", "10.0.0.200")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "a"}, Spec: corev1.PodSpec{NodeName: "n1"}}
	agent := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "a"}, Spec: corev1.PodSpec{NodeName: "n1", HostNetwork: true}}
	c := cluster(t, node, &mine, &default_, &never, &bound, pod, agent,
		lossy("soon", "10.0.0.0/24", v1alpha1.OutOfService), lossy("plain", "10.0.1.0/24", ""), lossy("never", "10.0.2.0/24", v1alpha1.Never))
	g := sweeper(c)
	now := time.Now()
	sweep := func(after time.Duration) {
		t.Helper()
		now = now.Add(after)
		if err := g.sweep(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sweep(0)
	sweep(time.Hour)
	if state(t, c, &mine) != v1alpha1.BlockOwned {
		t.Error("a node in service lost its block")
	}
	must(c.Get(t.Context(), client.ObjectKeyFromObject(node), node))
	node.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute}}
	must(c.Update(t.Context(), node))
	sweep(0)
	sweep(time.Hour)
	if state(t, c, &mine) != v1alpha1.BlockOwned {
		t.Error("released while a Pod is bound to the node")
	}
	must(c.Delete(t.Context(), pod))
	sweep(0)
	if state(t, c, &mine) != v1alpha1.BlockQuarantined || state(t, c, &default_) != v1alpha1.BlockOwned {
		t.Error("the block is not shown to be in quarantine, or another is")
	}
	// The agent runs after all, and says so.
	var b v1alpha1.IPBlock
	must(c.Get(t.Context(), client.ObjectKeyFromObject(&mine), &b))
	b.Spec.State = v1alpha1.BlockOwned
	must(c.Update(t.Context(), &b))
	sweep(time.Hour)
	if !exists(t, c, &mine) || !exists(t, c, &bound) {
		t.Error("released although its agent runs")
	}
	sweep(time.Second) // marked again, and again from the begin
	sweep(time.Second)
	if !exists(t, c, &mine) {
		t.Error("released without a quarantine")
	}
	sweep(time.Hour)
	if exists(t, c, &mine) || exists(t, c, &bound) {
		t.Error("not released after the quarantine")
	}
	if !exists(t, c, &default_) || !exists(t, c, &never) {
		t.Error("released what is of pools with another policy")
	}
	must(c.Delete(t.Context(), node))
	must(c.Delete(t.Context(), agent))
	sweep(0)
	sweep(time.Hour)
	sweep(0)
	if exists(t, c, &default_) || !exists(t, c, &never) {
		t.Error("once the Node is deleted all but Never is released")
	}
}

// Blocks and addresses in quarantine are still blocks of ipam.
func TestQuarantinedBlockIsRead(t *testing.T) {
	b := block("blue", "10.0.0.0/26", 3)
	b.Spec.State = v1alpha1.BlockQuarantined
	if got, err := ipam.BlockFrom(&b); err != nil || got.State != v1alpha1.BlockQuarantined {
		t.Errorf("got %+v, %v", got, err)
	}
}
