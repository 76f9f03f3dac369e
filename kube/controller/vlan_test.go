package controller

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// onVLAN is a Network of a VLAN, made so many minutes after the first.
func onVLAN(name string, vlan int32, minutes int, subnets ...string) *v1alpha1.Network {
	n := &v1alpha1.Network{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(time.Unix(int64(minutes)*60, 0))},
		Spec:       v1alpha1.NetworkSpec{Reach: &v1alpha1.Reach{Trunk: "eth1", VLAN: vlan}, Attachment: v1alpha1.Attachment{Kind: "bridge"}},
	}
	for _, s := range subnets {
		n.Spec.Subnets = append(n.Spec.Subnets, v1alpha1.Subnet{CIDR: s})
	}
	return n
}

func TestTrunkDefinition(t *testing.T) {
	net := onVLAN("prod", 120, 0, "10.120.0.0/16")
	net.Spec.Reach.Datapath, net.Spec.Attachment.AntiSpoof, net.Spec.Attachment.MTU = "bridge", "mac", 9000
	var have map[string]any
	if err := json.Unmarshal([]byte(ownDefinition(t, net, "a").Spec.Config), &have); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"type": "trunk", "trunk": "eth1", "vlan": 120., "datapath": "bridge", "antiSpoof": "mac", "mtu": 9000., "bridge": nil, "uplink": nil} {
		if have[key] != want {
			t.Errorf("%s is %v, want %v", key, have[key], want)
		}
	}
}

// The younger Network is told, publishes nothing, and comes when the elder
// has gone.
func TestReconcileVLANTaken(t *testing.T) {
	net := blue()
	net.CreationTimestamp = metav1.NewTime(time.Unix(600, 0))
	net.Spec.Reach, net.Spec.Attachment = &v1alpha1.Reach{Trunk: "eth1", VLAN: 120}, v1alpha1.Attachment{Kind: "bridge"}
	elder := onVLAN("prod", 120, 0, "192.168.0.0/16")
	c := cluster(t, net, elder, namespace("a", nil))
	result, got, said := reconcileBlue(t, c)
	if cond := ready(got); cond.Reason != reasonVLANTaken || cond.Status != metav1.ConditionFalse || result.RequeueAfter != lookAgain || got.Status.Namespaces != 0 {
		t.Errorf("condition %+v, result %+v", cond, result)
	}
	if !strings.Contains(said, "Warning VLANTaken VLAN 120 of trunk eth1 is that of Network prod") {
		t.Errorf("events %q", said)
	}
	if err := c.Delete(t.Context(), elder); err != nil {
		t.Fatal(err)
	}
	if _, got, _ = reconcileBlue(t, c); ready(got).Reason != reasonPublished || got.Status.Namespaces != 1 {
		t.Errorf("after the elder has gone: %+v", got.Status)
	}
}
