package shimrpc

import "strconv"

// Codes of CNI errors (CNI spec 1.1.0, section "Error").
const (
	CodeIncompatibleVersion = 1
	CodeUnsupportedField    = 2
	CodeUnknownContainer    = 3
	CodeBadEnvironment      = 4
	CodeIO                  = 5
	CodeDecode              = 6
	CodeBadConfig           = 7
	CodeTryAgainLater       = 11
	CodeNotAvailable        = 50
	CodeLimited             = 51
	CodeInternal            = 999
)

// Error is a CNI error.
type Error struct {
	Code         int
	Msg, Details string
}

func (e *Error) Error() string { return e.Msg }

// Versions are the versions of CNI spoken, oldest first.
var Versions = []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// Known tells whether a version of CNI is spoken.
func Known(version string) bool {
	for _, v := range Versions {
		if v == version {
			return true
		}
	}
	return false
}

// JSON renders the error for standard output. The version is the configuration's, or the newest when that one is unknown.
func (e *Error) JSON(version string) []byte {
	if !Known(version) {
		version = Versions[len(Versions)-1]
	}
	b := append([]byte(`{"cniVersion":`), quote(version)...)
	b = append(b, `,"code":`...)
	b = strconv.AppendInt(b, int64(e.Code), 10)
	b = append(b, `,"msg":`...)
	b = append(b, quote(e.Msg)...)
	if e.Details != "" {
		b = append(b, `,"details":`...)
		b = append(b, quote(e.Details)...)
	}
	return append(b, '}', '\n')
}

// VersionJSON answers the VERSION command for a configuration of a version.
func VersionJSON(version string) []byte {
	if !Known(version) {
		version = Versions[len(Versions)-1]
	}
	b := append([]byte(`{"cniVersion":`), quote(version)...)
	b = append(b, `,"supportedVersions":[`...)
	for i, v := range Versions {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, quote(v)...)
	}
	return append(b, ']', '}', '\n')
}

// quote makes a JSON string (RFC 8259 section 7); what is not UTF-8 becomes U+FFFD.
func quote(s string) []byte {
	const hex = "0123456789abcdef"
	b := []byte{'"'}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\t':
			b = append(b, '\\', 't')
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}
