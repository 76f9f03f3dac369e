package delegate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// mercy is what a plugin has to end by itself when its time is over.
	mercy = time.Second
	// mostOutput bounds what a plugin may print; mostWords is what is kept of the beginning and of the end of its messages.
	mostOutput = 4 << 20
	mostWords  = 300
)

// done is an execution that came to its end.
type done struct {
	code   int
	stdout []byte
	stderr string
	signal string
}

// execute runs a program below Root, in a process group of its own. When ctx ends the group is asked to end, and killed a little later.
func (r *Runner) execute(ctx context.Context, path string, input []byte, env []string) (done, error) {
	out, said := &bounded{most: mostOutput}, &words{most: mostWords}
	cmd, err := r.start(func() *exec.Cmd {
		cmd := exec.Command(path)
		cmd.Env, cmd.Dir = env, "/"
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), out, said
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Chroot: r.Root}
		cmd.WaitDelay = mercy // children that keep the pipes do not keep us
		return cmd
	})
	if err != nil {
		return done{}, fmt.Errorf("execute %s: %w", path, err)
	}
	group := cmd.Process.Pid
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	select {
	case err = <-over:
	case <-ctx.Done():
		_ = syscall.Kill(-group, syscall.SIGTERM)
		ended := false
		select {
		case <-over:
			ended = true
		case <-time.After(mercy):
		}
		_ = syscall.Kill(-group, syscall.SIGKILL) // also what it has started
		if !ended {
			select {
			case <-over:
			case <-time.After(2 * mercy): // it waits in the kernel, and nobody can end it
			}
		}
		return done{stderr: said.String()}, context.Cause(ctx)
	}
	d := done{code: cmd.ProcessState.ExitCode(), stdout: out.kept.Bytes(), stderr: said.String()}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		d.code, d.signal = 1, status.Signal().String()
	}
	var exit *exec.ExitError
	switch {
	case out.full:
		return d, fmt.Errorf("it printed more than %d MiB", mostOutput>>20)
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay):
		return d, err
	}
	return d, nil
}

// start starts a program in the node's network namespace. A file that is being written is tried again.
func (r *Runner) start(program func() *exec.Cmd) (cmd *exec.Cmd, err error) {
	for try := 0; ; try++ {
		cmd = program()
		start := cmd.Start
		if r.Node != nil {
			start = func() error { return r.Node.Do(cmd.Start) }
		}
		err = start()
		if !errors.Is(err, syscall.ETXTBSY) || try == 5 {
			return cmd, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// bounded keeps the beginning of what is written.
type bounded struct {
	kept bytes.Buffer // not embedded: io.Copy would fill it past the bound
	most int
	full bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) > b.most {
		b.full = true
		return len(p), nil
	}
	return b.kept.Write(p)
}

// words keeps the beginning and the end of what is written: where a program says what is wrong depends on the program.
type words struct {
	head, tail []byte
	most       int // of each
	lost       bool
}

func (w *words) Write(p []byte) (int, error) {
	n := min(len(p), w.most-len(w.head))
	w.head = append(w.head, p[:n]...)
	w.tail = append(w.tail, p[n:]...)
	if over := len(w.tail) - w.most; over > 0 {
		w.tail, w.lost = append(w.tail[:0], w.tail[over:]...), true
	}
	return len(p), nil
}

// String is the text in one line, without what terminals would act on.
func (w *words) String() string {
	gap := ""
	if w.lost {
		gap = " … "
	}
	return oneLine(string(w.head) + gap + string(w.tail))
}

func oneLine(s string) string {
	clean := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "�"))
	return strings.Join(strings.Fields(clean), " ")
}
