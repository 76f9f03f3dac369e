package supervise

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// Machine is everything one machine of a lab runs.
type Machine struct {
	Components []Component `json:"components"`
	Forwards   []Forward   `json:"forwards,omitempty"`
	LogDir     string      `json:"logDir"`
}

// Report is the answer to a status request.
type Report struct {
	PID        int      `json:"pid"`
	Components []Status `json:"components"`
}

// Run starts the machine's programs and serves verbs until the process dies:
// a machine has no orderly end, it is switched off.
func Run(m Machine, control net.Listener, listeners map[string]net.Listener) error {
	if err := os.MkdirAll(m.LogDir, 0o755); err != nil {
		return err
	}
	for _, f := range m.Forwards {
		ln := listeners[f.Listen]
		if ln == nil {
			var err error
			if ln, err = net.Listen("tcp", f.Listen); err != nil {
				return fmt.Errorf("forwarding to %v: %w", f.Targets, err)
			}
		}
		go f.serve(ln)
	}
	runners := map[string]*runner{}
	var order []*runner
	for _, c := range m.Components {
		r := newRunner(c, m.LogDir)
		runners[c.Name] = r
		order = append(order, r)
		go r.run()
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		rep := Report{PID: os.Getpid()}
		for _, r := range order {
			rep.Components = append(rep.Components, r.get())
		}
		_ = json.NewEncoder(w).Encode(rep)
	})
	mux.HandleFunc("POST /components/{name}/{verb}", func(w http.ResponseWriter, req *http.Request) {
		r, ok := runners[req.PathValue("name")]
		if !ok {
			http.Error(w, fmt.Sprintf("no component %q here", req.PathValue("name")), http.StatusNotFound)
			return
		}
		if err := r.do(req.PathValue("verb")); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	return http.Serve(control, mux)
}

// Verbs are what can be done to a component.
var Verbs = []string{"start", "stop", "halt", "kill", "pause", "resume", "restart"}

func (r *runner) do(verb string) error {
	const grace = 10 * time.Second
	switch verb {
	case "start":
		r.want(true)
		return nil
	case "stop":
		return r.stop(grace)
	case "halt": // stop without asking
		return r.stop(0)
	case "restart":
		if err := r.stop(grace); err != nil {
			return err
		}
		r.want(true)
		return nil
	case "kill":
		return r.kill()
	case "pause":
		return r.pause(true)
	case "resume":
		return r.pause(false)
	}
	return fmt.Errorf("unknown verb %q: want one of %v", verb, Verbs)
}
