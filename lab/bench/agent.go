package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// agentHTTP is where the agent answers about itself.
const agentHTTP = "http://127.0.0.1:9871"

// agent is the product's agent on the bench's node.
type agent struct{ *process }

// confName is the file that an agent that can serve writes for the container runtime.
const confName = "00-tsunagu.conflist"

// startAgent starts it as its DaemonSet does, and waits until it is ready and its CNI configuration is in place.
func startAgent(ctx context.Context, programs Programs, work, kubeconfig string) (*agent, error) {
	p, err := start("tsunagu-agent", work, []string{"NODE_NAME=" + nodeName, "POD_NAMESPACE=tsunagu-system", "PATH=" + programs.Product},
		filepath.Join(programs.Product, "tsunagu-agent"), "--kubeconfig="+kubeconfig)
	if err != nil {
		return nil, err
	}
	a := &agent{p}
	return a, p.wait(60*time.Second, func() error {
		if _, err := a.get(ctx, "/readyz"); err != nil {
			return err
		}
		_, err := os.Stat(filepath.Join("/etc/cni/net.d", confName))
		return err
	})
}

func (a *agent) stop() {
	if a != nil {
		a.process.stop()
	}
}

func (a *agent) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, agentHTTP+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, resp.Status, strings.TrimSpace(string(b)))
	}
	return string(b), err
}

// Stage is one histogram of the agent's metrics: how often something was done and how long it took on average.
type Stage struct {
	Name  string  `json:"name"`
	Count float64 `json:"count"`
	Mean  float64 `json:"meanms"`
	sum   float64
}

// stages reads the agent's histograms; none when it does not answer.
func (a *agent) stages(ctx context.Context) []Stage {
	if a == nil {
		return nil
	}
	text, err := a.get(ctx, "/metrics")
	if err != nil {
		return nil
	}
	return readStages(strings.NewReader(text))
}

// readStages reads histograms of seconds in the text format of Prometheus.
func readStages(r io.Reader) []Stage {
	found := map[string]*Stage{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || !strings.HasPrefix(line, "tsunagu_") {
			continue
		}
		name, labels, _ := strings.Cut(line[:at], "{")
		value, err := strconv.ParseFloat(line[at+1:], 64)
		base, isSum := strings.CutSuffix(name, "_seconds_sum")
		base, isCount := strings.CutSuffix(base, "_seconds_count")
		if err != nil || !isSum && !isCount {
			continue
		}
		key := base + "{" + labels
		if labels == "" {
			key = base
		}
		if found[key] == nil {
			found[key] = &Stage{Name: key}
		}
		if isSum {
			found[key].sum = value
		} else {
			found[key].Count = value
		}
	}
	var all []Stage
	for _, s := range found {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Stage) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// since is what came between two readings.
func since(now, before []Stage) []Stage {
	old := map[string]Stage{}
	for _, s := range before {
		old[s.Name] = s
	}
	var d []Stage
	for _, s := range now {
		s.Count -= old[s.Name].Count
		s.sum -= old[s.Name].sum
		if s.Count > 0 {
			s.Mean = s.sum / s.Count * 1000
			d = append(d, s)
		}
	}
	return d
}
