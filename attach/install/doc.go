// Package install puts tsunagu's CNI shim and configuration on a node, keeps
// them there, and takes them away again when tsunagu is uninstalled.
//
// It owns two files: the shim in the runtime's plugin folder and
// 00-tsunagu.conflist in its configuration folder. Configurations of others are
// never changed: ours sorts before them, so removing ours restores what was
// there. A foreign file of our name is kept aside and put back. It does not
// know Kubernetes: kube tells it, by Life, whether the agent's own DaemonSet is
// still wanted.
//
// Order matters and is the caller's: Shim as soon as the agent starts, Conf
// only when the agent can serve (the file's appearance makes the node Ready),
// Keep while it runs, Remove at its end if Life says uninstalled. A restart or
// an upgrade leaves both files where they are.
//
// Start at Installer, then Plan.
package install
