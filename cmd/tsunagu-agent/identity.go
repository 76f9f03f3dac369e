package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tsunagu-net/tsunagu/kube"
)

// identity is which Node object this node is. The name may be used again for another machine, the UID is not.
type identity struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

var errAnotherNode = errors.New("the Node object was created anew; starting over as the new one")

// identify waits for the node's object. What an earlier agent has written down is taken at its word, so that Pods can go while the API
// server is away; follow finds out when it is wrong.
func identify(ctx context.Context, name, file string, nodes *kube.Nodes, log *slog.Logger) (identity, error) {
	var known identity
	if raw, err := os.ReadFile(file); err == nil && json.Unmarshal(raw, &known) == nil && known.Name == name && known.UID != "" {
		return known, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return known, fmt.Errorf("read this node's identity: %w", err)
	}
	told := false
	for {
		changed := nodes.Changed()
		if node, ok := nodes.Node(name); ok {
			return identity{Name: name, UID: node.UID}, write(file, identity{Name: name, UID: node.UID})
		}
		if nodes.Synced() && !told {
			told = true
			log.Warn("there is no Node object of this name yet; waiting for it", "node", name, "fix", "if this stays, check --node-name")
		}
		select {
		case <-changed:
		case <-time.After(time.Second): // Synced may turn true a moment after the last change
		case <-ctx.Done():
			return known, ctx.Err()
		}
	}
}

// follow ends with errAnotherNode when the node's object becomes another one.
func (id identity) follow(ctx context.Context, file string, nodes *kube.Nodes) error {
	for {
		changed := nodes.Changed()
		if node, ok := nodes.Node(id.Name); ok && node.UID != id.UID {
			return errors.Join(errAnotherNode, write(file, identity{Name: id.Name, UID: node.UID}))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// write puts a file in its place whole.
func write(file string, id identity) error {
	raw, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("render this node's identity: %w", err)
	}
	part := file + ".part"
	if err := os.WriteFile(part, raw, 0o600); err != nil {
		return fmt.Errorf("write this node's identity: %w", err)
	}
	if err := os.Rename(part, file); err != nil {
		return fmt.Errorf("write this node's identity: %w", err)
	}
	return nil
}

// alone waits until no other agent runs on the node. The lock goes with the process, however it ends.
func alone(ctx context.Context, dir string, log *slog.Logger) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	path := filepath.Join(dir, "agent.lock")
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	for told := false; ; told = true {
		err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock %s: %w", path, err)
		}
		if !told {
			log.Info("waiting for the other agent of this node to end", "lock", path)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
