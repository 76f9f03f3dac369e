// Package legacy reads how kube-vip and keepalived were told to keep the
// control plane's address, and says it in tsunagu-vip's flags.
//
// It owns their words (kube-vip's environment and flags, keepalived.conf). It
// does not know manifests. Start at FromKubeVIP and FromKeepalived.
package legacy
