package controller

import (
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
)

func sweeper(c client.Client) *garbage {
	return &garbage{Client: c, live: c, graves: newGraveyard(time.Minute), events: events.NewFakeRecorder(100),
		log: slog.New(slog.DiscardHandler), said: map[ownerID]string{}, idle: map[types.UID]time.Time{}, marked: map[string]bool{}, forever: map[ownerID]bool{}}
}

func exists(t *testing.T, c client.Client, o client.Object) bool {
	t.Helper()
	err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o.DeepCopyObject().(client.Object))
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

func TestSweepReleasesLostNodes(t *testing.T) {
	alive := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2", UID: "u2"}}
	lostBlock, lostAddress, lastPod := block("blue", "10.0.0.0/26"), address("blue", "10.0.1.1"), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "a"}, Spec: corev1.PodSpec{NodeName: "n1"}}
	kept := block("blue", "10.0.0.64/26")
	kept.Spec.Owner = v1alpha1.BlockOwner{Node: "n2", NodeUID: "u2"}
	former := block("blue", "10.0.0.128/26")
	former.Spec.Owner = v1alpha1.BlockOwner{Node: "n2", NodeUID: "u0"} // n2 before it was created again
	c := cluster(t, alive, &lostBlock, &lostAddress, lastPod, &kept, &former)
	g := sweeper(c)
	now := time.Now()
	sweep := func(after time.Duration) {
		t.Helper()
		now = now.Add(after)
		if err := g.sweep(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	sweep(0)
	sweep(2 * time.Minute)
	if !exists(t, c, &lostBlock) || !exists(t, c, &lostAddress) {
		t.Error("released while a Pod is bound to the node")
	}
	if exists(t, c, &former) {
		t.Error("what the node's forebear had was kept")
	}
	if err := c.Delete(t.Context(), lastPod); err != nil {
		t.Fatal(err)
	}
	sweep(0)
	if !exists(t, c, &lostBlock) {
		t.Error("released without quarantine")
	}
	sweep(time.Minute)
	if exists(t, c, &lostBlock) || exists(t, c, &lostAddress) {
		t.Error("not released after the quarantine")
	}
	if !exists(t, c, &kept) {
		t.Error("a living node's block was released")
	}
	if len(g.graves.since) != 0 && len(g.said) != 0 {
		sweep(0)
		if len(g.graves.since)+len(g.said) != 0 {
			t.Errorf("remembers %v %v", g.graves.since, g.said)
		}
	}
}

func TestRetireRegion(t *testing.T) {
	idleOne, busy := region("idle", "blue", "10.0.0.0/24"), region("busy", "blue", "10.0.1.0/24")
	busy.Annotations = map[string]string{ipam.DrainingAnnotation: "true"}
	b := block("blue", "10.0.1.0/26")
	b.Labels[v1alpha1.DomainLabel] = "blue"
	c := cluster(t, &idleOne, &busy, &b, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "u1"}})
	g := sweeper(c)
	now := time.Now()
	if err := g.sweep(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if !exists(t, c, &idleOne) {
		t.Error("retired without rest")
	}
	var r v1alpha1.IPRegion
	if err := c.Get(t.Context(), client.ObjectKey{Name: "busy"}, &r); err != nil || draining(&r) {
		t.Errorf("a region with a block stays marked: %v, %v", r.Annotations, err)
	}
	if err := g.sweep(t.Context(), now.Add(restFor)); err != nil {
		t.Fatal(err)
	}
	if exists(t, c, &idleOne) {
		t.Error("not retired")
	}
}
