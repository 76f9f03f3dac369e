package ipam

// FreeImported deletes, a moment later, the Address objects of an interface
// that was not made here but imported: its sandbox is being deleted. Without
// an interface's name it is all of the sandbox. It goes by what Orphans saw
// last; an object that is younger is found when its Pod is gone.
func (a *Allocator) FreeImported(containerID, ifName string) {
	if containerID == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, x := range a.imported {
		w := x.Owner.Key
		if w.ContainerID != containerID || ifName != "" && w.IfName != "" && w.IfName != ifName || !x.Claim.none() {
			continue
		}
		delete(a.imported, name)
		if a.by[spot{x.Domain, x.Address}] == nil && a.ending[name] == nil {
			a.ending[name] = &ending{uid: x.UID, spot: spot{x.Domain, x.Address}}
			a.nudge()
		}
	}
}

// rememberImported keeps what was imported for Pods of this node.
func (a *Allocator) rememberImported(mine []Address) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.imported = map[string]Address{}
	for _, x := range mine {
		if x.Origin != "" {
			a.imported[x.Name] = x
		}
	}
}

func (c ClaimRef) none() bool { return c == ClaimRef{} }
