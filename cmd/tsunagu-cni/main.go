// Command tsunagu-cni is the CNI plugin that the container runtime executes: it hands the call to the node's agent over a unix socket
// and prints the answer. While the agent restarts it tries again, and then answers "try again later".
//
// It uses neither fmt, encoding/json nor net, and makes its own few system calls: that is what makes it start in a millisecond with two
// megabytes.
package main

import (
	"io"
	"os"
	"syscall"
	"unsafe"

	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// version is set by the linker.
var version = "dev"

func main() {
	if len(os.Args) > 1 && (os.Args[1] == "--version" || os.Args[1] == "-version" || os.Args[1] == "version") {
		os.Stdout.WriteString("tsunagu-cni " + version + "\n")
		return
	}
	if os.Getenv("CNI_COMMAND") == "" {
		os.Stderr.WriteString("tsunagu-cni " + version + " is a CNI plugin: container runtimes execute it with CNI_COMMAND set\n")
		os.Exit(1)
	}
	os.Exit(run(shimrpc.Request{
		Command:     os.Getenv("CNI_COMMAND"),
		ContainerID: os.Getenv("CNI_CONTAINERID"),
		NetNS:       os.Getenv("CNI_NETNS"),
		IfName:      os.Getenv("CNI_IFNAME"),
		Args:        os.Getenv("CNI_ARGS"),
		Path:        os.Getenv("CNI_PATH"),
		Started:     sinceBoot(),
	}, os.Stdin, os.Stdout))
}

// run carries out one call and gives the exit code.
func run(q shimrpc.Request, stdin io.Reader, stdout io.Writer) int {
	config, err := io.ReadAll(stdin)
	if err != nil {
		return fail(stdout, "", &shimrpc.Error{Code: shimrpc.CodeIO, Msg: "reading the configuration from standard input", Details: err.Error()})
	}
	q.Config = config
	c, bad := shimrpc.ParseConfig(config)
	if q.Command == "VERSION" {
		if bad != nil {
			c.Version = ""
		}
		return answer(stdout, shimrpc.VersionJSON(c.Version), 0)
	}
	if e := q.Environment(); e != nil {
		return fail(stdout, c.Version, e)
	}
	if bad != nil {
		return fail(stdout, c.Version, &shimrpc.Error{Code: shimrpc.CodeDecode, Msg: "reading the CNI configuration: " + bad.Error()})
	}
	if !shimrpc.Known(c.Version) {
		return fail(stdout, c.Version, &shimrpc.Error{Code: shimrpc.CodeIncompatibleVersion, Msg: "cniVersion \"" + c.Version + "\" is not spoken here",
			Details: "spoken are 0.3.1, 0.4.0, 1.0.0 and 1.1.0"})
	}
	if isLoopback(os.Args[0]) {
		return loopback(q, c, stdout)
	}
	r, e := call(q, c)
	if e != nil {
		return fail(stdout, c.Version, e)
	}
	code := 0
	if r.Failed {
		code = 1
	}
	return answer(stdout, r.Output, code)
}

func fail(stdout io.Writer, version string, e *shimrpc.Error) int {
	return answer(stdout, e.JSON(version), 1)
}

func answer(stdout io.Writer, output []byte, code int) int {
	if len(output) > 0 {
		if _, err := stdout.Write(output); err != nil {
			return 1
		}
	}
	return code
}

// sinceBoot reads CLOCK_BOOTTIME (clock_gettime(2)), which all processes of the machine share.
func sinceBoot() int64 {
	const clockBoottime = 7
	var ts syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0
	}
	return ts.Nano()
}
