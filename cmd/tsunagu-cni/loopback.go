package main

import (
	"io"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// loopbackName is the name under which containerd and CRI-O execute a plugin
// for every sandbox, whatever network they have. Where the reference plugin is
// not installed, that name is a link to this program.
const loopbackName = "loopback"

func isLoopback(argv0 string) bool { return filepath.Base(argv0) == loopbackName }

// loopback sets lo up in the sandbox. It needs no agent: there is nothing to
// decide and nothing to remember, the namespace takes lo along when it goes.
func loopback(q shimrpc.Request, c shimrpc.Config, stdout io.Writer) int {
	switch q.Command {
	case "ADD", "CHECK":
		if err := raise(q.NetNS, q.IfName); err != nil {
			return fail(stdout, c.Version, &shimrpc.Error{Code: shimrpc.CodeIO, Msg: "setting " + q.IfName + " up in " + q.NetNS, Details: err.Error()})
		}
		if q.Command == "CHECK" {
			return 0
		}
		return answer(stdout, loopbackResult(q, c.Version), 0)
	default: // DEL, GC, STATUS: nothing is kept that could be given back
		return 0
	}
}

// loopbackResult is the reference plugin's result (CNI spec, section 5).
func loopbackResult(q shimrpc.Request, version string) []byte {
	family4, family6 := "", ""
	if version < "1.0.0" {
		family4, family6 = `"version":"4",`, `"version":"6",`
	}
	return []byte(`{"cniVersion":"` + version + `","interfaces":[{"name":"` + q.IfName + `","mac":"00:00:00:00:00:00","sandbox":"` + q.NetNS + `"}],` +
		`"ips":[{` + family4 + `"interface":0,"address":"127.0.0.1/8"},{` + family6 + `"interface":0,"address":"::1/128"}],"dns":{}}` + "\n")
}

// raise enters the namespace for good: the process ends afterwards.
func raise(netns, ifName string) error {
	runtime.LockOSThread()
	ns, err := syscall.Open(netns, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.RawSyscall(sysSetns, uintptr(ns), syscall.CLONE_NEWNET, 0); errno != 0 {
		return errno
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var request struct { // struct ifreq, netdevice(7)
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:syscall.IFNAMSIZ-1], ifName)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCGIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	request.flags |= syscall.IFF_UP
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
