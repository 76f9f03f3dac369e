package scaleup

// Code is the stable name of a rule, of doctor's codes. Its digits after TSU7 are those of the rule.
type Code string

// The rules about MachineDeployments and the autoscaler's configuration.
const (
	CodeNoSizes      Code = "TSU7001"
	CodeBadSizes     Code = "TSU7002"
	CodeEqualSizes   Code = "TSU7003"
	CodeNoCapacity   Code = "TSU7004"
	CodeBadCapacity  Code = "TSU7005"
	CodeOddCapacity  Code = "TSU7006"
	CodeOldLabels    Code = "TSU7007"
	CodeBadLabels    Code = "TSU7008"
	CodeTemplateOnly Code = "TSU7009"
	CodeUnsynced     Code = "TSU7010"
	CodeStale        Code = "TSU7013"
	CodeNoRight      Code = "TSU7014"
	CodeExcluded     Code = "TSU7019"
	CodeTwoSpaces    Code = "TSU7020"
	CodePaused       Code = "TSU7021"
	CodeBadTaint     Code = "TSU7027"
	CodeFull         Code = "TSU7034"
	CodePredicate    Code = "TSU7024"
	CodeHostUnknown  Code = "TSU7025"
	CodeClaims       Code = "TSU7029"
	CodeGated        Code = "TSU7035"
)

// Effect is what the autoscaler makes of a problem.
type Effect string

const (
	// StopsAll: no group at all is scaled.
	StopsAll Effect = "stops all groups"
	// Drops: the group is left out.
	Drops Effect = "drops the group"
	// MayDrop: the group is left out, unless something that could not be read says otherwise.
	MayDrop Effect = "may drop the group"
	// Keeps: the Pod fits no node of the group.
	Keeps Effect = "keeps the Pod off"
	// Misleads: the autoscaler decides by something that is not so.
	Misleads Effect = "misleads"
	// Ignored: what is written has no effect.
	Ignored Effect = "is ignored"
)

// Problem is one rule that an object breaks.
type Problem struct {
	Code   Code   `json:"code"`
	Effect Effect `json:"effect"`
	// Field is where: the annotation, label or path; Value what stands there.
	Field string `json:"field,omitempty"`
	Value string `json:"value,omitempty"`
	// Why is one sentence, with what the autoscaler logs of it, which is often nothing.
	Why string `json:"why"`
	// Fix is what to write instead, or what to do.
	Fix string `json:"fix"`
}

// drops tells whether the group is not considered because of it.
func (p Problem) drops() bool { return p.Effect == StopsAll || p.Effect == Drops }
