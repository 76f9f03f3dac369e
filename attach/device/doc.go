// Package device finds the devices that kubelet has given to a Pod for a resource of a device plugin.
//
// It owns the question to kubelet (its PodResources API, or its checkpoint where that is not served) and the files in which device
// plugins describe their devices. It does not know networks; attach says which resource a network names, and hands a device to each
// network that asks for one.
//
// Start at Kubelet.Devices.
package device
