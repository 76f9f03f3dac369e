package attach

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// P19: the file system of the journals is full. An ADD is refused at once, in words that name the folder and what to do, and leaves
// nothing; DELs go on; and when there is room again, so do ADDs.
func TestP19FullDisk(t *testing.T) {
	n := newMachine(t)
	n.mount("size=2m")
	n.define("flat", `{"type":"macvlan","master":"up1"}`)
	first := n.pod("first", "flat")
	var more []*sandbox // whose records fill what the journals have room for already
	for i := range 40 {
		more = append(more, n.pod(fmt.Sprintf("more-%d", i), "flat"))
	}
	agent, said := n.process()
	defer kill(agent)
	n.answers(t, said)
	first.add()
	n.fill()
	var second *sandbox
	var refused reply
	for _, second = range more {
		began := time.Now()
		if refused = second.call("ADD"); refused.code != 0 {
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("refused after %v", took)
			}
			break
		}
		first = second
	}
	e := refused.failure(t)
	for _, word := range []string{n.dir, "no space left on device", "make room on the file system"} {
		if !strings.Contains(e.Msg+e.Details, word) {
			t.Errorf("refused with %+v, which does not say %q", e, word)
		}
	}
	if e.Code != 11 {
		t.Errorf("code %d, want 11: try again later", e.Code)
	}
	if left := second.interfaces(); len(left) > 0 {
		t.Errorf("left in the sandbox: %v", left)
	}
	second.ok("DEL")
	first.ok("DEL")
	if left := first.interfaces(); len(left) > 0 {
		t.Errorf("left in the sandbox: %v", left)
	}
	n.must(os.Remove(filepath.Join(n.dir, "rest")))
	second.add()
	second.ok("DEL")
}

// P19: the file system is read-only when an agent begins. It says so and ends; the next one, when it is writable, has what was there.
func TestP19ReadOnlyDisk(t *testing.T) {
	n := newMachine(t)
	n.mount("size=2m")
	n.define("flat", `{"type":"macvlan","master":"up1"}`)
	first := n.pod("first", "flat")
	agent, said := n.process()
	n.answers(t, said)
	first.add()
	kill(agent)
	n.must(syscall.Mount("", n.dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	agent, said = n.process()
	if err := agent.Wait(); err == nil || !strings.Contains(said.String(), n.dir) || !strings.Contains(said.String(), "read-only file system") {
		t.Errorf("the agent ended with %v and said %q", err, said)
	}
	n.must(syscall.Mount("", n.dir, "", syscall.MS_REMOUNT, ""))
	agent, said = n.process()
	defer kill(agent)
	n.answers(t, said)
	first.ok("CHECK")
	first.ok("DEL")
	if left := first.interfaces(); len(left) > 0 {
		t.Errorf("left in the sandbox: %v", left)
	}
}

// mount makes the journals' folder a file system of its own.
func (n *node) mount(options string) {
	n.Helper()
	n.must(syscall.Mount("tst-att", n.dir, "tmpfs", 0, options))
	n.Cleanup(func() { _ = syscall.Unmount(n.dir, syscall.MNT_DETACH) })
}

// fill leaves no room on the file system.
func (n *node) fill() {
	n.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, "rest"), make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		n.Fatalf("the disk is not full: %v", err)
	}
}

// process starts an agent of its own.
func (n *node) process() (*exec.Cmd, *bytes.Buffer) {
	n.Helper()
	world, err := json.Marshal(agentWorld{n.ns.Path(), n.dir, n.cluster.pods, n.definitions})
	n.must(err)
	said := new(bytes.Buffer)
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), agentProcess+"="+string(world)), said
	n.must(cmd.Start())
	return cmd, said
}

// answers waits for the agent's socket.
func (n *node) answers(t *testing.T, said *bytes.Buffer) {
	t.Helper()
	for range 1000 {
		if _, err := os.Stat(filepath.Join(n.dir, "cni.sock")); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the agent does not answer: %s", said)
}

func kill(agent *exec.Cmd) {
	_ = agent.Process.Kill()
	_ = agent.Wait()
}
