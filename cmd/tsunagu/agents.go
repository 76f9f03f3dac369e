package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

const (
	// reportPort is the name of the container port, and reportPath the path,
	// where an agent says what it knows of its node (doctor.AgentReport).
	reportPort = "status"
	reportPath = "/status"
	// agentPatience is how long one agent may take to answer.
	agentPatience = 3 * time.Second
)

// askAgents reads each ready agent's report through the API server into the
// snapshot. An agent that does not answer is noted, not an error: people
// without the right to ask see everything else.
func (a *app) askAgents(ctx context.Context, reader *snapshot.Reader, s *doctor.Snapshot) {
	p := a.watch("asking the agents")
	defer p.end()
	s.Reports, s.Silent = map[string]doctor.AgentReport{}, map[string]string{}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(16)
	for node, pod := range s.Agents() {
		port := statusPort(pod)
		if port == 0 || !doctor.IsReady(pod) {
			continue
		}
		group.Go(func() error {
			report, err := askAgent(ctx, reader, pod, port)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				s.Silent[node] = err.Error()
			} else {
				s.Reports[node] = report
			}
			return nil
		})
	}
	_ = group.Wait()
}

func askAgent(ctx context.Context, reader *snapshot.Reader, pod *corev1.Pod, port int) (doctor.AgentReport, error) {
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	var report doctor.AgentReport
	raw, err := reader.AskPod(ctx, pod.Namespace, pod.Name, port, reportPath)
	if err != nil {
		return report, short(err)
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		return report, fmt.Errorf("read the report of Pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return report, nil
}

// statusPort is the port on which an agent reports, or 0 when it does not.
func statusPort(pod *corev1.Pod) int {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == reportPort {
				return int(p.ContainerPort)
			}
		}
	}
	return 0
}

// short keeps the first line of an error: answers of proxies are pages long.
func short(err error) error {
	line, _, more := strings.Cut(err.Error(), "\n")
	if more || len(line) > 200 {
		return errors.New(cut(line, 200))
	}
	return err
}
