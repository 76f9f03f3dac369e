package supervise

import (
	"io"
	"net"
	"testing"
)

func TestForwardFindsWhoAnswers(t *testing.T) {
	listen := func() net.Listener {
		t.Helper()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		return ln
	}
	dead := listen()
	dead.Close()
	echo := listen()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	front := listen()
	go Forward{Targets: []string{dead.Addr().String(), echo.Addr().String()}}.serve(front)
	for range 3 {
		c, err := net.Dial("tcp", front.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "hello")
		// The end of one direction must arrive, and not end the other.
		c.(*net.TCPConn).CloseWrite()
		b, err := io.ReadAll(c)
		if err != nil || string(b) != "hello" {
			t.Errorf("came back as %q, %v", b, err)
		}
		c.Close()
	}
}
