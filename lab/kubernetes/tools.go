//go:build tools

// Package kubernetes pins what the lab runs on its nodes. This file only keeps
// programs in go.mod that are built from here but imported nowhere.
package kubernetes

import _ "k8s.io/kubernetes/test/images/agnhost"
