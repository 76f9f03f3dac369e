// Command tsunagu-keep runs a program and starts it again a moment after it died: `tsunagu-keep tsunagu-agent …` is the first process of
// the agent's container.
//
// Without it the kubelet does that, after 10 seconds, then 20, up to five minutes; as long no Pod of the node starts or ends
// (docs/decisions/0006). It knows nothing of the program.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

func main() {
	switch {
	case len(os.Args) < 2:
		fmt.Fprintln(os.Stderr, "usage: tsunagu-keep PROGRAM [ARGUMENT…]")
		os.Exit(2)
	case os.Args[1] == "--version":
		fmt.Println("tsunagu-keep", version)
		return
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	os.Exit(keeper{argv: os.Args[1:], signals: signals, said: os.Stderr}.run())
}
