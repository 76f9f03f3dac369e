package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// path is the way from one Pod to another.
type path struct {
	name     string
	from, to string // network namespaces
	address  netip.Addr
	threads  kernelThreads
}

// mtu gives the MTU of the sender's interface.
func (p path) mtu() int {
	var mtu int
	_ = wiring.In(p.from, func() error {
		if i, err := net.InterfaceByName("eth0"); err == nil {
			mtu = i.MTU
		}
		return nil
	})
	return mtu
}

// throughput sends by one TCP connection for a while. It gives Gbit/s, and the processors' time per GB (10⁹ bytes) of both ends and of
// the kernel in between: the time of this process and that of the kernel's own threads for packets.
func (p path) throughput(ctx context.Context, most time.Duration) (gbits, cpuPerGB float64, err error) {
	var l net.Listener
	err = wiring.In(p.to, func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(p.address, 5001).String())
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	defer l.Close()
	received := make(chan int64, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			received <- 0
			return
		}
		defer c.Close()
		var n int64
		buf := make([]byte, 256<<10)
		for {
			k, err := c.Read(buf)
			n += int64(k)
			if err != nil {
				received <- n
				return
			}
		}
	}()
	var c net.Conn
	err = wiring.In(p.from, func() (err error) {
		c, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", l.Addr().String())
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	cpuBefore, began := p.packetCPU(), time.Now()
	_ = c.SetDeadline(began.Add(most + 5*time.Second))
	buf := make([]byte, 256<<10)
	for time.Since(began) < most && err == nil {
		_, err = c.Write(buf)
	}
	c.Close()
	n := <-received
	took, used := time.Since(began), p.packetCPU()-cpuBefore
	if err != nil || n == 0 {
		return 0, 0, fmt.Errorf("sending from %s to %s: %w", p.from, p.to, err)
	}
	return float64(n) * 8 / took.Seconds() / 1e9, used.Seconds() / (float64(n) / 1e9), nil
}

// packetCPU is the time of this process, its threads' work on packets included, and of the kernel's threads for packets.
func (p path) packetCPU() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	sum := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	for _, pid := range p.threads.pids {
		sum += cpu(p.threads.proc, pid)
	}
	return sum
}

// kernelThreads are those that work on packets, in the host's /proc.
type kernelThreads struct {
	proc string
	pids []int
}

// findKernelThreads looks for the ksoftirqd threads.
func findKernelThreads(proc string) kernelThreads {
	k := kernelThreads{proc: proc}
	entries, _ := os.ReadDir(proc)
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(proc, e.Name(), "comm")); err == nil && strings.HasPrefix(string(b), "ksoftirqd/") {
			k.pids = append(k.pids, pid)
		}
	}
	return k
}

// roundTrips sends echo requests one after the other; the other Pod's kernel answers.
func (p path) roundTrips(count int) (Sample, error) {
	var times Sample
	err := wiring.In(p.from, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
			return err
		}
		to := &unix.SockaddrInet4{Addr: p.address.As4()}
		buf := make([]byte, 512)
		for i := range count + 20 {
			question := echo(uint16(i))
			began := time.Now()
			if err := unix.Sendto(fd, question, 0, to); err != nil {
				return fmt.Errorf("asking %s: %w", p.address, err)
			}
			for {
				n, _, err := unix.Recvfrom(fd, buf, 0)
				if errors.Is(err, unix.EINTR) {
					continue
				}
				if err != nil {
					return fmt.Errorf("%s does not answer: %w", p.address, err)
				}
				if answers(buf[:n], uint16(i)) {
					break
				}
			}
			if i >= 20 { // routes and neighbours are found by then
				times = append(times, time.Since(began))
			}
		}
		return nil
	})
	return times, err
}

const echoID = 0x7473

// echo is an ICMP echo request of 64 bytes (RFC 792).
func echo(seq uint16) []byte {
	b := make([]byte, 64)
	b[0] = 8
	binary.BigEndian.PutUint16(b[4:], echoID)
	binary.BigEndian.PutUint16(b[6:], seq)
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	return b
}

// answers tells whether an IPv4 packet is the reply to the request of that number.
func answers(packet []byte, seq uint16) bool {
	if len(packet) < 20 {
		return false
	}
	icmp := packet[min(int(packet[0]&15)*4, len(packet)):]
	return len(icmp) >= 8 && icmp[0] == 0 && binary.BigEndian.Uint16(icmp[4:]) == echoID && binary.BigEndian.Uint16(icmp[6:]) == seq
}
