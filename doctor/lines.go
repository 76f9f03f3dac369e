package doctor

import "strings"

// said is a line that somebody logged, or an Event.
type said struct {
	// about is the Pod of an Event, or the log that the line stands in.
	about Object
	line  string
	// times is how often it was said.
	times int
}

// saying finds the first line of each log, and the Events, that have all of some words; the fixed part of a line is enough.
func (s *Snapshot) saying(words ...string) (found []said) {
	at := map[Object]int{}
	note := func(about Object, line string) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				return
			}
		}
		if i, ok := at[about]; ok {
			found[i].times++
			return
		}
		at[about] = len(found)
		found = append(found, said{about, strings.TrimSpace(line), 1})
	}
	for i := range s.Events {
		e := &s.Events[i]
		note(Object{e.InvolvedObject.Kind, e.InvolvedObject.Namespace, e.InvolvedObject.Name}, e.Message)
	}
	for _, t := range s.Texts {
		about := Object{Kind: "File", Name: t.Name}
		if name, ok := strings.CutPrefix(t.Name, "log of "); ok {
			about = Object{Kind: "Log", Name: name}
		}
		for line := range strings.Lines(t.Text) {
			note(about, line)
		}
	}
	return found
}

// shortened is a line for a sentence.
func shortened(line string) string {
	const most = 240
	if len(line) > most {
		return line[:most] + " …"
	}
	return line
}

// lineCheck is a check for one line that means one thing. An Event is read from the cluster, a log from files or from Pods.
func lineCheck(code, title, explain string, severity Severity, words []string, breaks, fix string) Check {
	return Check{Code: code, Title: title, Explain: explain, Needs: []Part{Lines}, Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, l := range s.saying(words...) {
			found = append(found, Finding{Severity: severity, Object: l.about, Cause: shortened(l.line), Breaks: breaks, Fix: fix})
		}
		return found
	}}
}
