package vsphere

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Reason is why vSphere, or this package before it asks vSphere, says no: one word that stays the same.
type Reason string

const (
	// Unavailable is a vCenter that does not answer, or not for long: it is tried again.
	Unavailable Reason = "VCenterUnavailable"
	// NoLogin is a user, a password or a certificate that is not accepted.
	NoLogin Reason = "VCenterLogin"
	// Forbidden is a privilege that the user lacks.
	Forbidden Reason = "PrivilegeMissing"
	// Busy is a machine that somebody else changes at the moment: it is tried again.
	Busy Reason = "MachineBusy"
	// NoMachine is a node that vCenter has no virtual machine for.
	NoMachine Reason = "MachineNotFound"
	// NoPortGroup is a name that no port group has, or several have.
	NoPortGroup Reason = "PortGroupNotFound"
	// NotOnHost is a port group that the machine's ESXi host is not a member of.
	NotOnHost Reason = "PortGroupNotOnHost"
	// NoPorts is a distributed port group without a free port.
	NoPorts Reason = "PortGroupFull"
	// NoSlot is a machine that has as many network cards as one can have.
	NoSlot Reason = "MachineFull"
	// NoHotPlug is a machine that takes no card while it runs.
	NoHotPlug Reason = "HotPlugDisabled"
	// PolicyForbids is a port group that drops frames of Pods with a MAC address of their own.
	PolicyForbids Reason = "PortGroupPolicy"
	// Refused is any other no.
	Refused Reason = "VSphereRefused"
)

// Refusal is a no with its fix, for people.
type Refusal struct {
	Reason  Reason
	Message string
	Fix     string
	// Cause is what vSphere said, nil when it was not asked.
	Cause error
}

func (r *Refusal) Error() string {
	text := string(r.Reason) + ": " + r.Message
	if r.Cause != nil {
		text += ": " + r.Cause.Error()
	}
	if r.Fix != "" {
		text += " (" + r.Fix + ")"
	}
	return text
}

func (r *Refusal) Unwrap() error { return r.Cause }

// Passes tells whether the same call may succeed later without anybody's doing.
func (r *Refusal) Passes() bool { return r.Reason == Unavailable || r.Reason == Busy }

// ReasonOf is the reason of an error of this package, "" when it has none.
func ReasonOf(err error) Reason {
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

// translate makes a Refusal of what vSphere said while doing something.
func translate(doing string, err error) error {
	if err == nil || ReasonOf(err) != "" {
		return err
	}
	r := &Refusal{Reason: Refused, Message: doing, Cause: err}
	var (
		address *net.OpError
		web     *url.Error
	)
	switch {
	case fault.Is(err, &types.InvalidLogin{}), fault.Is(err, &types.NotAuthenticated{}), soap.IsCertificateUntrusted(err), strings.Contains(err.Error(), "thumbprint does not match"):
		r.Reason, r.Fix = NoLogin, "check user, password and certificate of the vCenter in the Secret that the controller reads"
	case fault.Is(err, &types.NoPermission{}):
		r.Reason, r.Fix = Forbidden, missing(err)
	case fault.Is(err, &types.ConcurrentAccess{}), fault.Is(err, &types.TaskInProgress{}), fault.Is(err, &types.InvalidState{}):
		r.Reason, r.Fix = Busy, "it is tried again"
	case fault.Is(err, &types.DeviceHotPlugNotSupported{}), fault.Is(err, &types.CannotAccessVmDevice{}):
		r.Reason, r.Fix = NoHotPlug, `remove devices.hotplug = "FALSE" from the machine's settings, or use a newer virtual hardware version`
	case gone(err):
		r.Reason, r.Fix = Busy, "it was removed in the meantime; it is looked up again"
	case errors.As(err, &address), errors.As(err, &web), errors.Is(err, context.DeadlineExceeded), fault.Is(err, &types.HostCommunication{}):
		r.Reason, r.Fix = Unavailable, "it is tried again; Pods that run are not touched by it"
	}
	return r
}

// gone tells whether the object that was asked for is there no more.
func gone(err error) bool { return fault.Is(err, &types.ManagedObjectNotFound{}) }

// missing names the privilege that a user lacks.
func missing(err error) string {
	var no *types.NoPermission
	if _, ok := fault.As(err, &no); ok && no.PrivilegeId != "" {
		on := "the object"
		if no.Object != nil {
			on = no.Object.String()
		}
		return "give the controller's user " + no.PrivilegeId + " on " + on
	}
	return "docs/vsphere.md lists the privileges that the controller's user needs"
}
