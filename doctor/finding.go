package doctor

import "strings"

// Severity orders findings by what they break.
type Severity string

const (
	// Error: something does not work, or two interfaces have one address.
	Error Severity = "error"
	// Warning: something works and will not for long, or not everywhere.
	Warning Severity = "warning"
	// Info: worth knowing, nothing is broken by it.
	Info Severity = "info"
)

// rank is larger for what is worse.
func (s Severity) rank() int {
	switch s {
	case Error:
		return 2
	case Warning:
		return 1
	}
	return 0
}

// Object names what a finding is about. Cluster-scoped objects have no
// namespace.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// Finding is one thing that is wrong with one object.
type Finding struct {
	// Code is the stable name of the check, such as TSU1001.
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Object   Object   `json:"object"`
	// Cause is what was seen, in one sentence with the values.
	Cause string `json:"cause"`
	// Breaks is what does not work because of it.
	Breaks string `json:"breaks"`
	// Fix is what to do, as a command where there is one.
	Fix string `json:"fix"`
	// CausedBy is the finding that this one follows from, if it is among the
	// findings of the same run.
	CausedBy *Cause `json:"causedBy,omitempty"`
}

// Cause refers to another finding.
type Cause struct {
	Code   string `json:"code"`
	Object Object `json:"object"`
}

func (f Finding) is(c *Cause) bool { return c != nil && f.Code == c.Code && f.Object == c.Object }

func compare(a, b Finding) int {
	if d := b.Severity.rank() - a.Severity.rank(); d != 0 {
		return d
	}
	if d := strings.Compare(a.Code, b.Code); d != 0 {
		return d
	}
	if d := strings.Compare(a.Object.String(), b.Object.String()); d != 0 {
		return d
	}
	return strings.Compare(a.Cause, b.Cause)
}
