package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// Whereabouts is the name of the other side of the bench of addresses: the CNI plugin at the path in this environment variable, if any.
const (
	Whereabouts    = "whereabouts"
	WhereaboutsEnv = "TSUNAGU_BENCH_WHEREABOUTS"
)

// fleetNodes is how many nodes share the API server.
const fleetNodes = 50

// fleet is the program that has the agents of many nodes inside (cmd/tsunagu-fleet) and takes orders.
type fleet struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Scanner
}

// order and its answer are those of cmd/tsunagu-fleet.
type order struct {
	Do      string   `json:"do"`
	Side    string   `json:"side"`
	Pool    string   `json:"pool,omitempty"`
	CIDR    string   `json:"cidr,omitempty"`
	Count   int      `json:"count,omitempty"`
	Flight  int      `json:"flight,omitempty"`
	Rate    float64  `json:"rate,omitempty"`
	Seconds float64  `json:"seconds,omitempty"`
	Node    int      `json:"node,omitempty"`
	IPs     []string `json:"ips,omitempty"`
}

type answer struct {
	Word              string
	Error             string
	Calls             map[string]*fleetCalls
	WallMS            float64
	Held, Lives       int
	Duplicates, Leaks []string
}

type fleetCalls struct {
	OK     int
	Failed map[string]int
	First  []string
	Micros []int64
	Refuse []int64
}

// startFleet starts one whose nodes are called name-1, name-2 …
func startFleet(p Programs, work, kubeconfig, name string) (*fleet, error) {
	netns, dir := "tstbench-"+name, "/run/"+name
	if err := errors.Join(wiring.CreateNamespace(netns), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(work, "tsunagu-"+name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{"-name=" + name, "-kubeconfig=" + kubeconfig, "-dir=" + dir, "-netns=" + wiring.Path(netns), "-nodes=" + strconv.Itoa(fleetNodes)}
	if path := os.Getenv(WhereaboutsEnv); path != "" {
		args = append(args, "-whereabouts="+path)
	}
	f := &fleet{cmd: exec.Command(filepath.Join(p.Product, "tsunagu-fleet"), args...)}
	f.cmd.Stderr = log
	if f.orders, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.answers = bufio.NewScanner(out)
	f.answers.Buffer(nil, 64<<20)
	if err := f.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting tsunagu-fleet: %w", err)
	}
	_, err = f.answer()
	return f, err
}

func (f *fleet) answer() (a answer, err error) {
	if !f.answers.Scan() {
		return a, fmt.Errorf("tsunagu-fleet ended: its log tells why: %w", errors.Join(f.answers.Err(), io.ErrUnexpectedEOF))
	}
	if err := json.Unmarshal(f.answers.Bytes(), &a); err != nil {
		return a, fmt.Errorf("reading what tsunagu-fleet answers: %w", err)
	}
	if a.Error != "" {
		err = errors.New(a.Error)
	}
	return a, err
}

// do gives an order and waits for its answer.
func (f *fleet) do(ctx context.Context, q order) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	line, err := json.Marshal(q)
	if err == nil {
		_, err = f.orders.Write(append(line, '\n'))
	}
	if err != nil {
		return answer{}, fmt.Errorf("ordering tsunagu-fleet: %w", err)
	}
	a, err := f.answer()
	if err != nil {
		err = fmt.Errorf("order %s of %s: %w", q.Do, q.Side, err)
	}
	return a, err
}

func (f *fleet) stop() {
	if f == nil {
		return
	}
	f.orders.Close()
	_ = f.cmd.Process.Signal(unix.SIGTERM)
	done := time.AfterFunc(10*time.Second, func() { _ = f.cmd.Process.Kill() })
	defer done.Stop()
	_ = f.cmd.Wait()
}

// etcdPuts reads how many keys etcd has written since its start.
func etcdPuts(ctx context.Context) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, etcdURL+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "etcd_mvcc_put_total "); ok {
			return strconv.ParseFloat(rest, 64)
		}
	}
	return 0, errors.New("etcd does not tell its etcd_mvcc_put_total")
}
