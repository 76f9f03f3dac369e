package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// machine is one boot. What the job prints arrives by a serial port of its
// own; the kernel's messages go to a file that is shown when a boot fails.
type machine struct {
	kernel  kernel
	dir     string // of this run, on this machine and inside
	timeout time.Duration
}

// listener gets what the job prints, line by line.
type listener interface{ line(string) }

// echo shows every line, and keeps how the command ended.
type echo struct{ err error }

func (e *echo) line(s string) {
	if code, is := strings.CutPrefix(s, exited); is {
		if code != "0" {
			e.err = fmt.Errorf("the command's exit status is %s", code)
		}
		return
	}
	fmt.Println(s)
}

// ended is the job's last line: without it the machine did not get that far.
const ended = "vm: job ended"

// exited is what a shell job says of its command.
const exited = "vm: exit "

func (m machine) run(ctx context.Context, job string, l listener) error {
	ram, err := initramfs(m.kernel)
	if err != nil {
		return fmt.Errorf("make the initramfs: %w", err)
	}
	if err := errors.Join(
		os.WriteFile(m.path("initramfs"), ram, 0o644),
		os.WriteFile(m.path("job"), []byte(job), 0o755)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	start := time.Now()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", m.arguments()...)
	// The machine goes when this process goes, however that happens.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var diag strings.Builder
	cmd.Stderr = &diag
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w (package qemu-system-x86)", err)
	}
	whole := listen(out, l)
	err = cmd.Wait()
	switch {
	case whole:
		fmt.Printf("vm: %s, Linux %s\n", time.Since(start).Round(time.Second/10), m.kernel.version)
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("stopped after %s: %w", time.Since(start).Round(time.Second), context.Cause(ctx))
	default:
		return fmt.Errorf("the machine went down before the end of its job: %v %s\nits last messages:\n%s", err, diag.String(), tail(m.path("console")))
	}
}

// listen tells whether the job came to its end.
func listen(r io.Reader, l listener) (whole bool) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s := strings.TrimRight(lines.Text(), "\r")
		if s == ended {
			whole = true
			continue
		}
		l.line(s)
	}
	return whole
}

func (m machine) path(name string) string { return filepath.Join(m.dir, name) }

// arguments of qemu. Emulation only: nested KVM hangs on many a machine, and
// what is measured inside are ratios.
func (m machine) arguments() []string {
	return []string{
		"-accel", "tcg,thread=multi", "-smp", "2", "-m", "2048", "-cpu", "max",
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-kernel", m.kernel.image, "-initrd", m.path("initramfs"),
		"-append", "console=ttyS0 loglevel=5 panic=-1 mitigations=off nokaslr tsc=reliable random.trust_cpu=on cryptomgr.notests nmi_watchdog=0 vm.dir=" + m.dir + " vm.modules=" + m.kernel.modules(),
		"-serial", "file:" + m.path("console"), "-serial", "stdio",
		"-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
	}
}

func tail(file string) string {
	b, _ := os.ReadFile(file)
	return string(b[max(0, len(b)-4000):])
}
