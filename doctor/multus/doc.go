// Package multus reads the configuration of Multus, thin or thick, and says what of it an agent of tsunagu is to be told, and what has no
// equivalent. It owns the list of Multus' keys; it does not know the cluster, nor the node that the file is from.
//
// Start at Parse.
package multus
