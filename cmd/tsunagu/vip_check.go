package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tsunagu-net/tsunagu/vip/control"
	"github.com/tsunagu-net/tsunagu/vip/precheck"
)

// vipSecrets are where the nodes' common secret may be.
var vipSecrets = []string{"/etc/kubernetes/pki/sa.key", "/var/lib/rancher/k3s/server/tls/service.key", "/var/lib/rancher/rke2/server/tls/service.key"}

func (a *app) vipCheck() *cobra.Command {
	var address, device, socket, mode, peers string
	var apiPort uint16
	c := &cobra.Command{
		Use: "check", Short: "looks, on a node, whether an address would work there", Args: cobra.NoArgs,
		Long: `check runs on a control-plane node, as root, before tsunagu-vip does or beside it. It changes nothing. tsunagu-vip, which must be
installed beside this program or be in the PATH, does the looking.

Exit codes: 0 all is well, 1 an error was found, 4 warnings only.`,
	}
	c.Flags().StringVar(&address, "address", "", "the control plane's address, or several with commas between")
	c.Flags().StringVar(&device, "interface", "", "interface on the address's segment (default: by the subnet)")
	c.Flags().StringVar(&socket, "socket", filepath.Join(vipRun, control.SocketName), "control socket of the node's tsunagu-vip")
	c.Flags().Uint16Var(&apiPort, "api-port", 6443, "port of the API server")
	c.Flags().StringVar(&mode, "mode", "lease", "as in vip manifest: "+strings.Join(vipModes, ", "))
	c.Flags().StringVar(&peers, "bgp-peers", "", "the routers, ADDRESS=AS, with --mode=bgp: whether they accept this node's connections")
	_ = c.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions(vipModes, cobra.ShellCompDirectiveNoFileComp))
	_ = c.MarkFlagRequired("address")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if _, err := addresses("address", address); err != nil {
			return err
		}
		if !slices.Contains(vipModes, mode) {
			return usage("--mode is one of "+strings.Join(vipModes, ", "), "--mode: %q is not known", mode)
		}
		args := []string{"--check", "--address", address, "--run-dir", filepath.Dir(socket), "--api-port", fmt.Sprint(apiPort)}
		if device != "" {
			args = append(args, "--interface", device)
		}
		switch mode {
		case "vrrp": // the same is asked of the segment
		case "bgp":
			args = append(args, "--mode", mode, "--bgp-peers", peers)
		default:
			args = append(args, "--mode", mode)
		}
		facts, err := lookVIP(c.Context(), args...)
		if err != nil {
			return err
		}
		return a.judgeVIP(facts)
	}
	return c
}

// lookVIP has tsunagu-vip look at the node: this program is for people's own machines, too, and reads no kernel.
func lookVIP(ctx context.Context, args ...string) (f precheck.Facts, err error) {
	program, err := besideThis("tsunagu-vip")
	if err != nil {
		return f, err
	}
	if _, missing := os.Stat(program); missing != nil {
		if program, err = exec.LookPath("tsunagu-vip"); err != nil {
			return f, &problem{exitFailed, errors.New("look at the node: tsunagu-vip is not there"), "run this on a control-plane node, with tsunagu-vip beside this program (both are in the image, and in bin/ after make build)"}
		}
	}
	var out, said bytes.Buffer
	c := exec.CommandContext(ctx, program, args...)
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		return f, fmt.Errorf("look at the node: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		return f, fmt.Errorf("read what %s found: %w", program, err)
	}
	return f, nil
}

func (a *app) judgeVIP(facts precheck.Facts) error {
	findings := precheck.Judge(facts)
	if err := a.show(a.format, map[string]any{"findings": findings}, func(w io.Writer) { printFindings(w, a.terminal, findings) }); err != nil {
		return err
	}
	code := exitOK
	for _, x := range findings {
		switch {
		case x.Severity == "error":
			code = exitFailed
		case x.Severity == "warning" && code == exitOK:
			code = exitWarnings
		}
	}
	if code != exitOK {
		return verdict(code)
	}
	return nil
}

func printFindings(w io.Writer, t terminal, all []precheck.Finding) {
	colours := map[string]string{"error": "31", "warning": "33", "ok": "32"}
	for _, f := range all {
		fmt.Fprintf(w, "%s  %s\n", t.paint(colours[f.Severity], fmt.Sprintf("%-7s", f.Severity)), f.What)
		if f.Fix != "" {
			fmt.Fprintf(w, "         fix: %s\n", f.Fix)
		}
	}
}
