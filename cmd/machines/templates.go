package machines

import (
	"context"
	"fmt"

	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// Templates reads what groups refer to, and says which it could not.
func Templates(ctx context.Context, reader *snapshot.Reader, s *snapshot.Snapshot) (passed []snapshot.Passed) {
	for i := range s.MachineGroups {
		g, err := scaleup.ParseGroup(&s.MachineGroups[i])
		if err != nil || g.Infra.Name == "" || g.Infra.Group == "" {
			continue
		}
		t, err := reader.Template(ctx, g.Infra.Group, g.Infra.Kind, g.Infra.Namespace, g.Infra.Name)
		if err != nil {
			passed = append(passed, snapshot.Passed{File: fmt.Sprintf("%s %s/%s", g.Infra.Kind, g.Infra.Namespace, g.Infra.Name), Why: err.Error()})
			continue
		}
		s.MachineTemplates = append(s.MachineTemplates, *t)
	}
	return passed
}
