package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Figures are all that a run found out.
type Figures struct {
	Machine    Machine     `json:"machine"`
	Attach     *Sequential `json:"attach,omitempty"`
	Wide       *Wide       `json:"wide,omitempty"`
	Burst      *Burst      `json:"burst,omitempty"`
	Shim       *Shim       `json:"shim,omitempty"`
	Addresses  *Addresses  `json:"addresses,omitempty"`
	Webhook    *Webhook    `json:"webhook,omitempty"`
	Packets    []string    `json:"packets,omitempty"`
	AgentStart *Memory     `json:"agentRest,omitempty"` // ready, before the first Pod
	AgentEnd   *Memory     `json:"agentEnd,omitempty"`
	AgentCPU   float64     `json:"agentCPUms,omitempty"`
	Requests   Requests    `json:"startRequests,omitempty"` // of the agent's start
	Targets    []Target    `json:"targets"`
}

// Run measures, inside a Box, and prints the figures. Met tells whether all targets were met.
func Run(ctx context.Context, o Options, out, log io.Writer) (met bool, err error) {
	f := Figures{Machine: thisMachine()}
	programs, err := BuiltIn(o.Work)
	if err != nil {
		return false, err
	}
	w, err := raise(ctx, o, programs, log)
	defer w.end()
	if err != nil {
		return false, err
	}
	if err := w.measure(ctx, o, &f); err != nil {
		return false, err
	}
	f.Machine.LoadTo = load()
	f.judge()
	if o.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(f)
	} else {
		_, err = io.WriteString(out, f.Text())
	}
	met = true
	for _, t := range f.Targets {
		met = met && t.Met
	}
	return met, err
}

func (w *World) measure(ctx context.Context, o Options, f *Figures) (err error) {
	if o.Hold {
		w.say("holding: kill -TERM the process to end; logs are in %s", o.Work)
		<-ctx.Done()
		return ctx.Err()
	}
	if w.agent != nil {
		time.Sleep(3 * time.Second) // a heap that grew with the start is given back by then
		if f.Requests, err = auditMark(0).since(); err != nil {
			return err
		}
		if f.AgentStart, err = w.agent.memory(); err != nil {
			return err
		}
	}
	if o.wants("attach") {
		if f.Attach, err = w.Sequential(ctx, o); err != nil {
			return err
		}
	}
	if o.wants("wide") && w.agent != nil {
		if f.Wide, err = w.Wide(ctx, o); err != nil {
			return err
		}
	}
	if o.wants("burst") {
		if f.Burst, err = w.Burst(ctx, o); err != nil {
			return err
		}
	}
	if o.wants("shim") && w.agent != nil {
		if f.Shim, err = w.Shim(ctx, o.Shims); err != nil {
			return err
		}
	}
	if w.agent != nil {
		f.AgentCPU = milliseconds(cpu(w.agent.cmd.Process.Pid))
		if f.AgentEnd, err = w.agent.memory(); err != nil {
			return fmt.Errorf("the agent did not survive: %w\n%s", err, w.agent.tail())
		}
	}
	if o.wants("ipam") && o.Side == "" {
		w.agent.stop() // its requests are nobody's here
		if f.Addresses, err = w.Addresses(ctx, o); err != nil {
			return err
		}
	}
	if o.wants("webhook") && o.Side == "" {
		if f.Webhook, err = w.Webhook(ctx, o); err != nil {
			return err
		}
	}
	if o.wants("packets") && o.Side == "" {
		f.Packets, err = w.Packets(ctx, o)
	}
	return err
}

func (a *agent) memory() (*Memory, error) {
	m, err := memory(a.cmd.Process.Pid)
	return &m, err
}
