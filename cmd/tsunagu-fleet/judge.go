package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// judge asks the oracle about a history that somebody else wrote (oracle.Write), such as the lab's end-to-end tests.
func judge(path string, out io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	uses, err := oracle.Read(f)
	if err != nil {
		return err
	}
	found := oracle.Duplicates(uses)
	for _, d := range found {
		fmt.Fprintln(out, d)
	}
	if len(found) > 0 {
		return errors.New("an address was used by two at once")
	}
	fmt.Fprintf(out, "no address was used by two at once: %d uses\n", len(uses))
	return nil
}
