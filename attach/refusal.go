package attach

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// Refusal is an error that says why a Pod is not attached as asked, and what to do. It becomes the CNI error and an Event of the Pod.
type Refusal struct {
	// Reason is a stable word for machines, in CamelCase: the reason of the Event.
	Reason string
	// Message says what is wrong. It is the same for every attempt, so that repeated Events are counted and not listed.
	Message string
	// Fix says what to do.
	Fix string
	// Code is that of the CNI error; 0 means 7, invalid configuration.
	Code int
}

func (r *Refusal) Error() string { return r.Message }

// Reasons of this room. Others come from ipam and attach/kind.
const (
	ReasonBadSelection      = "BadNetworkSelection"
	ReasonUnsupportedField  = "UnsupportedField"
	ReasonUnknownNetwork    = "UnknownNetwork"
	ReasonNamespaceRefused  = "NamespaceNotPermitted"
	ReasonBadConfig         = "BadNetworkConfig"
	ReasonEmptyConfig       = "EmptyNetworkConfig"
	ReasonUnknownPlugin     = "UnknownPlugin"
	ReasonUnknownPool       = "UnknownPool"
	ReasonBadAddress        = "BadAddress"
	ReasonBadDefaultRoute   = "BadDefaultRoute"
	ReasonInterfaceConflict = "InterfaceNameConflict"
	ReasonBadPort           = "BadHostPort"
	ReasonDeleted           = "SandboxDeleted"
	ReasonCalledOff         = "CalledOff"
	ReasonNotReady          = "AgentNotReady"
	ReasonUnknownPod        = "UnknownPod"
	ReasonInternal          = "AttachFailed"
	// Of changes to a Pod that runs: nobody permits them, or this one cannot be made.
	ReasonChangeOff     = "LiveChangeOff"
	ReasonChangeRefused = "LiveChangeRefused"
)

// kindReasons are the reasons of attach/kind in the words of this room.
var kindReasons = map[string]string{"InvalidConfig": ReasonBadConfig, "UnknownPlugin": ReasonUnknownPlugin}

// addressCodes are the CNI codes of refused addresses that another attempt may get.
var addressCodes = map[string]int{
	ipam.Unavailable:  shimrpc.CodeTryAgainLater,
	ipam.PoolFull:     shimrpc.CodeTryAgainLater,
	ipam.Taken:        shimrpc.CodeTryAgainLater,
	ipam.NoLease:      shimrpc.CodeTryAgainLater,
	ipam.LeaseRefused: shimrpc.CodeTryAgainLater,
	ipam.Deleted:      shimrpc.CodeTryAgainLater,

	ipam.UnknownClaim:  shimrpc.CodeTryAgainLater,
	ipam.ClaimInUse:    shimrpc.CodeTryAgainLater,
	ipam.QuotaExceeded: shimrpc.CodeTryAgainLater,
}

// refused finds the Refusal in an error, or makes one that says it is ours. What comes from below is told with the words it has.
func refused(err error) *Refusal {
	var own *Refusal
	var wiring kind.Refusal
	var address *ipam.Refusal
	var port hostport.Conflict
	switch {
	case errors.As(err, &own):
		if own.Error() != err.Error() { // layers above added where it happened
			copied := *own
			copied.Message = err.Error()
			return &copied
		}
		return own
	case errors.As(err, &wiring):
		reason := wiring.Reason()
		if r, ok := kindReasons[reason]; ok {
			reason = r
		}
		return &Refusal{Reason: reason, Message: err.Error(), Fix: wiring.Fix()}
	case errors.As(err, &address):
		// its text ends with the fix, which has a place of its own here
		message := strings.Replace(err.Error(), address.Error(), address.Message, 1)
		return &Refusal{Reason: address.Reason, Message: message, Fix: address.Fix, Code: addressCodes[address.Reason]}
	case errors.As(err, &port):
		return &Refusal{Reason: port.Reason(), Message: err.Error(), Fix: port.Fix(), Code: shimrpc.CodeTryAgainLater}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errShimGone), errors.Is(err, errDeleted):
		return &Refusal{Reason: ReasonCalledOff, Message: err.Error(), Fix: "none needed, the runtime tries again", Code: shimrpc.CodeTryAgainLater}
	}
	return &Refusal{Reason: ReasonInternal, Message: err.Error(), Fix: "look at the log of tsunagu-agent on this node", Code: shimrpc.CodeInternal}
}

// cni is the refusal as the runtime gets it.
func (r *Refusal) cni() *shimrpc.Error {
	code := r.Code
	if code == 0 {
		code = shimrpc.CodeBadConfig
	}
	details := r.Reason
	if r.Fix != "" {
		details += ": " + r.Fix
	}
	return &shimrpc.Error{Code: code, Msg: r.Message, Details: details}
}

// note is the refusal as people read it in an Event.
func (r *Refusal) note() string {
	if r.Fix == "" {
		return r.Message
	}
	return strings.TrimRight(r.Message, ". ") + ". To fix: " + r.Fix
}

func refusef(reason, fix, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Fix: fix, Message: fmt.Sprintf(format, args...)}
}

// notReady says what the agent lacks; it is told to the runtime as "try again later".
func notReady(lacks, fix string) *Refusal {
	return &Refusal{Reason: ReasonNotReady, Message: "tsunagu-agent is not ready: " + lacks, Fix: fix, Code: shimrpc.CodeTryAgainLater}
}
