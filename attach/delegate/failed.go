package delegate

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// Missing tells that the node has no such plugin.
type Missing struct {
	Plugin string
	Dirs   []string
}

func (e *Missing) Error() string {
	if len(e.Dirs) == 0 {
		return fmt.Sprintf("%q cannot be the name of a plugin", e.Plugin)
	}
	return fmt.Sprintf("plugin %q is neither built in nor on this node (looked in %s)", e.Plugin, strings.Join(e.Dirs, ", "))
}
func (e *Missing) Reason() string { return "UnknownPlugin" }
func (e *Missing) Fix() string {
	return "install the plugin's binary on the node, or correct \"type\" in the network's configuration"
}

// Reasons of Failed.
const (
	ReasonFailed = "PluginFailed"
	ReasonLate   = "PluginTimeout"
)

// Failed tells that a plugin said no, broke, or took too long.
type Failed struct {
	Plugin, Verb string
	// Message and Details are the plugin's own words, Code its CNI error code; all empty when it printed none.
	Message, Details string
	Code             int
	// Stderr is the end of what it printed there, in one line.
	Stderr string
	// Late is how long it was waited for, 0 when it ended by itself.
	Late time.Duration
	// Cause is why it could not be executed.
	Cause error
}

func (e *Failed) Error() string {
	text := fmt.Sprintf("plugin %s, %s: ", e.Plugin, e.Verb)
	switch {
	case e.Late > 0:
		text += fmt.Sprintf("not done after %v, killed", e.Late)
	case e.Cause != nil:
		text += e.Cause.Error()
	default:
		text += e.Message
		if e.Details != "" {
			text += "; " + e.Details
		}
		if e.Code != 0 {
			text += fmt.Sprintf(" (CNI error %d)", e.Code)
		}
	}
	if e.Stderr != "" && !strings.Contains(text, e.Stderr) {
		text += "; it said: " + e.Stderr
	}
	return text
}
func (e *Failed) Unwrap() error { return e.Cause }
func (e *Failed) Reason() string {
	if e.Late > 0 {
		return ReasonLate
	}
	return ReasonFailed
}
func (e *Failed) Fix() string {
	switch {
	case e.Late > 0:
		return "find out what plugin " + e.Plugin + " waits for on this node; the call is repeated"
	case e.Code == shimrpc.CodeIncompatibleVersion:
		return "write a cniVersion that plugin " + e.Plugin + " speaks into the network's configuration"
	}
	return "it is plugin " + e.Plugin + " that refuses: correct what it names; the call is repeated"
}

// read finds the plugin's own words in what it printed (CNI spec 1.1.0 section 5, Error).
func (e *Failed) read(d done) {
	var said struct {
		Code    int    `json:"code"`
		Msg     string `json:"msg"`
		Details string `json:"details"`
	}
	switch err := json.Unmarshal(d.stdout, &said); {
	case err == nil && (said.Msg != "" || said.Code != 0):
		e.Code, e.Message, e.Details = said.Code, oneLine(clip(said.Msg, 1000)), oneLine(clip(said.Details, 1000))
		if e.Message == "" {
			e.Message = "it refused without a word"
		}
	case d.signal != "":
		e.Message = "it was ended by a signal (" + d.signal + ")"
	case len(d.stdout) > 0:
		e.Message = fmt.Sprintf("exit code %d, and what it printed is no CNI error: %s", d.code, excerpt(d.stdout))
	default:
		e.Message = fmt.Sprintf("exit code %d without a CNI error", d.code)
	}
}

// Nonsense tells that a plugin ended well and printed what cannot be right.
type Nonsense struct{ Plugin, Why, Output string }

func (e *Nonsense) Error() string {
	text := fmt.Sprintf("plugin %s, ADD: its result is not valid: %s", e.Plugin, e.Why)
	if e.Output != "" {
		text += "; it printed " + e.Output
	}
	return text
}
func (e *Nonsense) Reason() string { return "BadPluginResult" }
func (e *Nonsense) Fix() string {
	return "this is a mistake of plugin " + e.Plugin + ": use another version of it, or of cniVersion in the network's configuration"
}

// excerpt is the beginning of what a plugin printed.
func excerpt(out []byte) string { return fmt.Sprintf("%q", clip(oneLine(string(out)), 120)) }

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
