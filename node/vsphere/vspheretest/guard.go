package vspheretest

import (
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// guarded is a virtual machine that holds to the version of a change, as vSphere's do.
type guarded struct {
	*simulator.VirtualMachine
	mu sync.Mutex
}

func (g *guarded) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := req.Spec.ChangeVersion; v != "" && v != g.Config.ChangeVersion {
		return &refusedTask{fault: &types.ConcurrentAccess{}}
	}
	return g.VirtualMachine.ReconfigVMTask(ctx, req)
}

type refusedTask struct{ fault types.BaseMethodFault }

func (r *refusedTask) Fault() *soap.Fault {
	f := &soap.Fault{Code: "ServerFaultCode", String: "The object has been changed"}
	f.Detail.Fault = r.fault
	return f
}

func guard(model *simulator.Model) {
	ctx := model.Service.Context
	all := ctx.Map
	for _, o := range all.All("VirtualMachine") {
		all.Put(&guarded{VirtualMachine: o.(*simulator.VirtualMachine)})
	}
}
