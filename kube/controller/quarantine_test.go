package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

func TestSweepEndsQuarantines(t *testing.T) {
	now := time.Now()
	shut := func(name string, made, seen time.Duration) *v1alpha1.IPAddress {
		a := address("blue", name)
		a.CreationTimestamp = metav1.NewTime(now.Add(-made))
		a.Spec.Owner, a.Labels = v1alpha1.AddressOwner{}, nil
		a.Spec.Quarantine = &v1alpha1.AddressQuarantine{MAC: "0a:00:00:00:00:09", Node: "n1", Seconds: 600, Seen: metav1.NewTime(now.Add(-seen))}
		return &a
	}
	done := shut("10.0.1.1", 11*time.Minute, 11*time.Minute)
	fresh := shut("10.0.1.2", 9*time.Minute, 9*time.Minute)
	seenAgain := shut("10.0.1.3", time.Hour, 5*time.Minute)
	slowClock := shut("10.0.1.4", time.Minute, time.Hour)
	fastClock := shut("10.0.1.5", 11*time.Minute, -time.Hour)
	reserved := shut("10.0.1.6", time.Hour, time.Hour)
	reserved.Spec.Reserved = "for the printer"
	c := cluster(t, done, fresh, seenAgain, slowClock, fastClock, reserved)
	if err := sweeper(c).sweep(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for a, want := range map[*v1alpha1.IPAddress]bool{done: false, fresh: true, seenAgain: true, slowClock: true, fastClock: false, reserved: true} {
		if got := exists(t, c, a); got != want {
			t.Errorf("%s exists: %v", a.Spec.Address, got)
		}
	}
}
