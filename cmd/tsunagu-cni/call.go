package main

import (
	"errors"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// call asks the agent, and goes on trying while there is none: every verb may be said twice, so an answer that got lost with a dying
// agent is asked for again.
func call(q shimrpc.Request, c shimrpc.Config) (shimrpc.Response, *shimrpc.Error) {
	start := time.Now()
	retry := c.Retry
	if q.Command == "STATUS" && retry > time.Second {
		retry = time.Second // the runtime asks again by itself
	}
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		r, err := once(q, c.Socket, c.Timeout-time.Since(start))
		waited := time.Since(start)
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, shimrpc.ErrFrame), waited >= c.Timeout, waited+pause > retry:
			return shimrpc.Response{}, unanswered(q.Command, c, waited, err)
		}
		time.Sleep(pause)
	}
}

// unanswered says what is down and where to look.
func unanswered(command string, c shimrpc.Config, waited time.Duration, err error) *shimrpc.Error {
	e := &shimrpc.Error{Code: shimrpc.CodeTryAgainLater}
	after := ", tried for " + strconv.FormatFloat(waited.Seconds(), 'f', 1, 64) + " s"
	switch {
	case errors.Is(err, shimrpc.ErrFrame):
		e.Msg = "the process at " + c.Socket + " is not a tsunagu-agent this tsunagu-cni understands"
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		e.Msg = "tsunagu-agent is not running on this node (" + c.Socket + ": " + err.Error() + after + ")"
	case waited >= c.Timeout:
		e.Msg = "tsunagu-agent did not answer (" + c.Socket + after + ")"
	default:
		e.Msg = "tsunagu-agent cannot be asked (" + c.Socket + ": " + err.Error() + after + ")"
	}
	e.Details = "look at the agent's Pod on this node: kubectl -n tsunagu-system get pods -o wide, then its log; the call will be repeated"
	if command == "STATUS" {
		e.Code = shimrpc.CodeNotAvailable
	}
	return e
}

// once is one question and its answer.
func once(q shimrpc.Request, socket string, limit time.Duration) (shimrpc.Response, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return shimrpc.Response{}, err
	}
	defer syscall.Close(fd)
	t := syscall.NsecToTimeval(int64(max(limit, time.Millisecond)))
	if err := errors.Join(syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &t),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &t)); err != nil {
		return shimrpc.Response{}, err
	}
	if err := again(func() error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket}) }); err != nil {
		return shimrpc.Response{}, err
	}
	s := stream(fd)
	if err := q.Write(s); err != nil {
		return shimrpc.Response{}, err
	}
	return shimrpc.ReadResponse(s)
}

// stream reads and writes a blocking socket without the runtime's poller, which would cost a thread.
type stream int

func (s stream) Read(p []byte) (n int, err error) {
	err = again(func() error { n, err = syscall.Read(int(s), p); return err })
	if n <= 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), err
}

func (s stream) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		var n int
		err := again(func() (err error) { n, err = syscall.Write(int(s), p[done:]); return err })
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// again repeats a call that a signal interrupted; Go's own scheduler sends them.
func again(do func() error) error {
	for {
		if err := do(); err != syscall.EINTR {
			return err
		}
	}
}
