// Command tsunagu-keep keeps tsunagu-agent running: it is the first process of the agent's container, and starts the agent again a moment
// after it was killed.
//
// Without it the kubelet does that, after 10 seconds, then 20, up to five minutes; as long no Pod of the node starts or ends. It knows
// nothing of the agent, uses as little as the shim, and is named so that what is done to processes called tsunagu-agent is not done to it.
package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	// pause is how long after its end the agent is started again.
	pause = 100 * time.Millisecond
	// brief is a life after which an error is the agent's answer to its flags or its node, which another try does not change.
	brief = time.Second
	// most restarts within window are carried out; more is for the kubelet, which shows it and waits longer.
	most   = 30
	window = time.Minute
)

func main() {
	self, err := os.Executable()
	if err != nil {
		say("find the folder of this program: " + err.Error())
		os.Exit(1)
	}
	os.Exit(keep(filepath.Join(filepath.Dir(self), "tsunagu-agent"), os.Args[1:]))
}

// keep runs a program until it ends for good, and gives the exit code.
func keep(program string, args []string) int {
	told := make(chan os.Signal, 8)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	var restarts []time.Time
	for {
		began := time.Now()
		p, err := os.StartProcess(program, append([]string{program}, args...), &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
		if err != nil {
			say("start " + program + ": " + err.Error())
			return 1
		}
		state, stopped := wait(p, told)
		code := state.ExitCode()
		killed := code < 0
		if killed {
			code = 128 + int(state.Sys().(syscall.WaitStatus).Signal())
		}
		now := time.Now()
		for len(restarts) > 0 && now.Sub(restarts[0]) > window {
			restarts = restarts[1:]
		}
		if stopped || code == 0 || !killed && now.Sub(began) < brief || len(restarts) >= most {
			return code
		}
		restarts = append(restarts, now)
		say("the agent ended (" + state.String() + ") after " + now.Sub(began).Round(time.Millisecond).String() + " and is started again, number " +
			strconv.Itoa(len(restarts)) + " within a minute")
		select {
		case <-time.After(pause):
		case <-told:
			return code
		}
	}
}

// wait passes signals on until the process has ended. Stopped tells that there were some.
func wait(p *os.Process, told <-chan os.Signal) (state *os.ProcessState, stopped bool) {
	ended := make(chan *os.ProcessState, 1)
	go func() {
		state, err := p.Wait()
		if err != nil {
			say("wait for the agent: " + err.Error())
			os.Exit(1)
		}
		ended <- state
	}()
	for {
		select {
		case s := <-told:
			stopped = true
			_ = p.Signal(s) // it may have ended a moment ago
		case state := <-ended:
			return state, stopped
		}
	}
}

// say writes a line as the agent does.
func say(message string) {
	os.Stderr.WriteString(`{"time":` + strconv.Quote(time.Now().UTC().Format(time.RFC3339Nano)) + `,"level":"WARN","msg":` + strconv.Quote(message) +
		`,"room":"keep"}` + "\n")
}
