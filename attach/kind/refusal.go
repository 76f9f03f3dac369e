package kind

import (
	"fmt"
	"strings"
)

// Refusal is an error that tells why an attachment cannot be as asked, and what to do. Nothing was changed when it is returned.
type Refusal interface {
	error
	// Reason is a short word for machines, in CamelCase.
	Reason() string
	// Fix says what to do, as one sentence.
	Fix() string
}

// UnknownKind is a plugin type that is not built in.
type UnknownKind struct{ Type string }

func (e UnknownKind) Error() string  { return fmt.Sprintf("type %q is not built in", e.Type) }
func (e UnknownKind) Reason() string { return "UnknownPlugin" }
func (e UnknownKind) Fix() string    { return "use one of " + strings.Join(Names(), ", ") }

// BadConfig is a configuration that cannot be read or used: Field names the key ("" when it is the whole).
type BadConfig struct {
	Type, Field, Message, Hint string
}

func (e BadConfig) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s configuration: %s", e.Type, e.Message)
	}
	return fmt.Sprintf("%s configuration: %q: %s", e.Type, e.Field, e.Message)
}
func (e BadConfig) Reason() string { return "InvalidConfig" }
func (e BadConfig) Fix() string {
	if e.Hint != "" {
		return e.Hint
	}
	return "correct the network's configuration"
}

// Unsupported is an option that is known and not built in; it is never ignored, because a network without it is another network.
type Unsupported struct{ Type, Field, Message string }

func (e Unsupported) Error() string {
	return fmt.Sprintf("%s configuration: %q is not supported: %s", e.Type, e.Field, e.Message)
}
func (e Unsupported) Reason() string { return "UnsupportedOption" }
func (e Unsupported) Fix() string {
	return fmt.Sprintf("remove %q from the network's configuration", e.Field)
}

// NoUplink tells that the node has no interface of the name; Have lists the ones it has, near names first.
type NoUplink struct {
	Type, Name string
	Have       []string
}

func (e NoUplink) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("%s: this node has no default route to take the uplink from; interfaces here: %s", e.Type, strings.Join(e.Have, ", "))
	}
	return fmt.Sprintf("%s: this node has no interface %q; interfaces here: %s", e.Type, e.Name, strings.Join(e.Have, ", "))
}
func (e NoUplink) Reason() string { return "NoUplink" }
func (e NoUplink) Fix() string {
	return "name an interface that every node of the network has, or keep the Pod off this node"
}

// NoLower tells that the Pod has no interface of the name for another to stand on (linkInContainer).
type NoLower struct {
	Type, Name string
	Have       []string
}

func (e NoLower) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("%s: the Pod has no default route to take the master from; its interfaces: %s", e.Type, strings.Join(e.Have, ", "))
	}
	return fmt.Sprintf("%s: the Pod has no interface %q for linkInContainer; its interfaces: %s", e.Type, e.Name, strings.Join(e.Have, ", "))
}
func (e NoLower) Reason() string { return "NoUplink" }
func (e NoLower) Fix() string {
	return "name an interface that a network before this one in the Pod's annotation makes"
}

// kernelModule is what makes a kind of interface, and the option a kernel is built with to have it.
type kernelModule struct{ name, option string }

// KernelLacks tells that the node's kernel cannot make the kind of interface.
type KernelLacks struct{ Type, Module, Option, Kernel string }

func (e KernelLacks) Error() string {
	return fmt.Sprintf("%s: the kernel of this node (%s) cannot make it: there is no module %s (%s)", e.Type, e.Kernel, e.Module, e.Option)
}
func (e KernelLacks) Reason() string { return "KernelLacksModule" }
func (e KernelLacks) Fix() string {
	return fmt.Sprintf("load it on the node with \"modprobe %s\", install the kernel's package of extra modules, or keep the Pod off this node", e.Module)
}

// NameTaken tells that the interface name is in use inside the Pod by something that is not ours.
type NameTaken struct{ IfName, By string }

func (e NameTaken) Error() string {
	return fmt.Sprintf("interface %q exists in the Pod already (%s)", e.IfName, e.By)
}
func (e NameTaken) Reason() string { return "InterfaceNameTaken" }
func (e NameTaken) Fix() string    { return "ask for another interface name in the Pod's annotation" }

// DeviceBusy tells that a device of the node cannot be given away or enslaved, because the node itself uses it.
type DeviceBusy struct{ Type, Device, Why string }

func (e DeviceBusy) Error() string  { return fmt.Sprintf("%s: device %q %s", e.Type, e.Device, e.Why) }
func (e DeviceBusy) Reason() string { return "DeviceBusy" }
func (e DeviceBusy) Fix() string    { return "use an interface that the node itself does not need" }

// Conflict tells that something of the same name exists on the node and is not what the configuration asks for.
type Conflict struct{ Type, Device, Why string }

func (e Conflict) Error() string  { return fmt.Sprintf("%s: %q %s", e.Type, e.Device, e.Why) }
func (e Conflict) Reason() string { return "Conflict" }
func (e Conflict) Fix() string    { return "use another name, or make the existing one match" }

// NoNamespace tells that the sandbox's network namespace does not exist (any more).
type NoNamespace struct {
	Path string
	Err  error
}

func (e NoNamespace) Error() string  { return fmt.Sprintf("network namespace %s: %v", e.Path, e.Err) }
func (e NoNamespace) Unwrap() error  { return e.Err }
func (e NoNamespace) Reason() string { return "NoNamespace" }
func (e NoNamespace) Fix() string    { return "none needed, the runtime makes a new sandbox" }

// Mismatch is the first difference that Check found between what was wired and what is there.
type Mismatch struct{ IfName, What, Want, Have string }

func (e Mismatch) Error() string {
	return fmt.Sprintf("interface %s: %s is %s, was wired as %s", e.IfName, e.What, e.Have, e.Want)
}
func (e Mismatch) Reason() string { return "Changed" }
func (e Mismatch) Fix() string    { return "delete the Pod; its replacement is wired anew" }
