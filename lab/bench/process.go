package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is one long-running program of the Box.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it ended
}

func start(name, logDir string, env []string, argv ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(logDir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append([]string{defaultPath, "HOME=/root"}, env...)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends it, by force after a while. Ended already is success.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// wait calls ready until it succeeds. When time is up or the program has ended the error has the end of its log.
func (p *process) wait(most time.Duration, ready func() error) error {
	end := time.Now().Add(most)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended (%s):\n%s", p.name, p.cmd.ProcessState, p.tail())
		case <-time.After(pause):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not ready after %s: %w\n%s", p.name, most, err, p.tail())
		}
	}
}

func (p *process) tail() string {
	b, _ := os.ReadFile(p.log)
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}

// Memory is what a process holds of it, in bytes.
type Memory struct {
	Resident int64 `json:"resident"` // VmRSS
	Peak     int64 `json:"peak"`     // VmHWM, since its start
	Anon     int64 `json:"anon"`     // RssAnon: without the program's text, which is the page cache's
}

// memory reads /proc/pid/status.
func memory(pid int) (Memory, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			m.Resident = kib << 10
		case "VmHWM:":
			m.Peak = kib << 10
		case "RssAnon:":
			m.Anon = kib << 10
		}
	}
	if m.Resident == 0 {
		return m, errors.New("the process has ended")
	}
	return m, nil
}

// cpu is the time that a process used, reading utime and stime, fields 14 and 15 of /proc/pid/stat, in ticks of 10 ms.
func cpu(pid int) time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// cpuOfAll is cpu with the children that the process has waited for, fields 16 and 17.
func cpuOfAll(pid int) time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 15 {
		return 0
	}
	user, _ := strconv.ParseInt(f[13], 10, 64)
	system, _ := strconv.ParseInt(f[14], 10, 64)
	return cpu(pid) + time.Duration(user+system)*10*time.Millisecond
}

// busyTime is the time that all processors of the machine were not idle since boot (/proc/stat, in ticks of 10 ms).
func busyTime() time.Duration {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	var sum int64
	for i, f := range strings.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal guest…: guest is part of user already.
		if n, err := strconv.ParseInt(f, 10, 64); err == nil && i != 4 && i != 5 && i < 9 {
			sum += n
		}
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

// Machine is where the figures were made.
type Machine struct {
	Kernel string    `json:"kernel"`
	Cores  int       `json:"cores"`
	CPU    string    `json:"cpu"`
	Load   string    `json:"load"` // load average over 1, 5 and 15 minutes when the run began
	LoadTo string    `json:"loadEnd"`
	Date   time.Time `json:"date"`
}

func thisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Load: load(), Date: time.Now().UTC().Truncate(time.Second)}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	b, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(b), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			m.CPU = strings.TrimSpace(v)
			break
		}
	}
	return m
}

// busy tells that others used the machine when the run began.
func (m Machine) busy() bool {
	var minute float64
	_, err := fmt.Sscan(m.Load, &minute)
	return err == nil && minute > float64(m.Cores)/2
}

func load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); len(f) > 2 {
		return strings.Join(f[:3], " ")
	}
	return ""
}
