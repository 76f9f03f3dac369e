package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	// firstPause is between a death and the next start; it doubles up to
	// longestPause while the program dies young.
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
	// grown is the age at which a death is no longer held against a program.
	grown = 10 * time.Second
)

// keeper keeps one program running.
type keeper struct {
	argv    []string
	signals <-chan os.Signal
	said    io.Writer
}

// run starts the program again and again, and gives the exit code of its last
// end. A program that cannot be started at all is an error at once (127).
func (k keeper) run() int {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		began := time.Now()
		code, told, err := k.once()
		if err != nil {
			k.say("start", "err", err.Error())
			return 127
		}
		if told || code == 0 {
			return code
		}
		if time.Since(began) >= grown {
			pause = firstPause
		}
		k.say("the program died and is started again", "code", fmt.Sprint(code))
		select {
		case <-time.After(pause):
		case <-k.signals:
			return code
		}
	}
}

// once runs the program to its end and passes signals on. told says that one
// was passed on: the end is wanted then.
func (k keeper) once() (code int, told bool, err error) {
	cmd := exec.Command(k.argv[0], k.argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-k.signals:
			told = true
			_ = cmd.Process.Signal(s) // it may have ended just now
		case err := <-ended:
			return exitCode(err), told, nil
		}
	}
}

// exitCode follows the shell: 128 and the signal's number for a program that
// was killed by one.
func exitCode(err error) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			return 1
		}
		return 0
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// say writes a line in the form of the agent's own log.
func (k keeper) say(message, key, value string) {
	fmt.Fprintf(k.said, "{\"time\":%q,\"level\":\"WARN\",\"msg\":%q,\"room\":\"keep\",\"program\":%q,%q:%q}\n",
		time.Now().UTC().Format(time.RFC3339Nano), message, k.argv[0], key, value)
}
