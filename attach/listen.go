package attach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// drainTime is how long calls that are under way may take when the agent ends.
const drainTime = 8 * time.Second

// Listen makes a socket that only root can open. One that an earlier agent left is replaced: the caller knows that there is no other.
func Listen(path string) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of socket %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace socket %s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("close socket %s to others: %w", path, err)
	}
	return l, nil
}

// Serve answers shims until the context ends, which is not an error, and then finishes the calls that are under way.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	var calls sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			if ctx.Err() == nil {
				return fmt.Errorf("accept a shim at %s: %w", l.Addr(), err)
			}
			break
		}
		calls.Go(func() { s.converse(conn) })
	}
	done := make(chan struct{})
	go func() { calls.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTime):
		s.Log.Warn("ended with calls under way; the shims ask the next agent")
	}
	return nil
}

// requestTime bounds how long a shim may take to send its request.
const requestTime = 10 * time.Second

// converse answers one shim. It sends nothing after its request, so reading on tells when it is gone.
func (s *Server) converse(conn *net.UnixConn) {
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(requestTime)) // a closed socket fails at the next read
	q, err := shimrpc.ReadRequest(conn)
	if err != nil {
		s.Log.Warn("a caller did not speak the shim's protocol", "err", err)
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		var one [1]byte
		if n, err := conn.Read(one[:]); n == 0 && err != nil {
			cancel(errShimGone)
		}
	}()
	response := s.Call(ctx, q)
	if err := response.Write(conn); err != nil {
		s.Log.Warn("the shim did not wait for the answer", "verb", q.Command, "container", q.ContainerID, "err", err)
	}
}

var errShimGone = errors.New("the container runtime gave the call up")
