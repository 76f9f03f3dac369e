package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Shim are the figures of the shim's process alone: from its start to its end, less the time in which it waits for the agent.
type Shim struct {
	Count   int     `json:"count"`
	Wall    Summary `json:"wall"`
	Peak    Memory  `json:"memory"` // the largest
	FileKiB int64   `json:"fileKiB"`
}

// gate stands between shim and agent: it hands everything on, and takes the time and the shim's memory meanwhile. The kernel's own
// record of the largest resident set (getrusage) is no use: a child that Go starts inherits the figure of the process that starts it.
type gate struct {
	listener *net.UnixListener
	agent    string
	mu       sync.Mutex
	away     time.Duration // the agent's time in the last call
	peak     Memory
}

func openGate(path, agent string) (*gate, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	g := &gate{listener: l, agent: agent}
	go func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			g.pass(c)
		}
	}()
	return g, nil
}

// pass carries one question and its answer.
func (g *gate) pass(shim *net.UnixConn) {
	defer shim.Close()
	behind, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: g.agent, Net: "unix"})
	if err != nil {
		return
	}
	defer behind.Close()
	buf := make([]byte, 256<<10)
	n, err := shim.Read(buf) // the shim writes its question in one piece
	if err != nil {
		return
	}
	began := time.Now()
	if _, err := behind.Write(buf[:n]); err != nil {
		return
	}
	answer, err := io.ReadAll(behind)
	if err != nil {
		return
	}
	memory := peerMemory(shim)
	g.mu.Lock()
	g.away = time.Since(began)
	if memory.Peak > g.peak.Peak {
		g.peak = memory
	}
	g.mu.Unlock()
	_, _ = shim.Write(answer)
}

// peerMemory reads the memory of the process at the other end (unix(7), SO_PEERCRED).
func peerMemory(c *net.UnixConn) Memory {
	raw, err := c.SyscallConn()
	if err != nil {
		return Memory{}
	}
	var m Memory
	_ = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			m, _ = memory(int(cred.Pid))
		}
	})
	return m
}

// Shim executes the shim with a STATUS question, which the agent answers at once.
func (w *World) Shim(ctx context.Context, count int) (*Shim, error) {
	w.say("the shim alone: %d times", count)
	const file, socket = "/opt/cni/bin/tsunagu-cni", "/run/tstbench-gate.sock"
	st, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	list := w.contender(Ours).networks[0].list
	var conf map[string]any
	if err := json.Unmarshal(list.Plugins[0].Bytes, &conf); err != nil {
		return nil, err
	}
	behind, _ := conf["socket"].(string)
	if behind == "" {
		behind = "/run/tsunagu/cni.sock"
	}
	conf["socket"], conf["name"], conf["cniVersion"] = socket, list.Name, "1.1.0"
	question, err := json.Marshal(conf)
	if err != nil {
		return nil, err
	}
	g, err := openGate(socket, behind)
	if err != nil {
		return nil, err
	}
	defer g.listener.Close()
	var walls Sample
	for range count {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, file)
		cmd.Env = []string{"CNI_COMMAND=STATUS", "CNI_PATH=/opt/cni/bin"}
		cmd.Stdin = bytes.NewReader(question)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		began := time.Now()
		err := cmd.Run()
		wall := time.Since(began)
		if err != nil {
			return nil, fmt.Errorf("executing the shim: %w: %s", err, out.String())
		}
		g.mu.Lock()
		walls = append(walls, wall-g.away)
		g.mu.Unlock()
		time.Sleep(2 * time.Millisecond)
	}
	return &Shim{Count: count, Wall: walls.Summary(), Peak: g.peak, FileKiB: st.Size() >> 10}, nil
}
