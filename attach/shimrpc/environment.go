package shimrpc

// Environment checks the CNI_… variables of a request (CNI spec 1.1.0 section 2, "Parameters"). The error has code 4.
func (r *Request) Environment() *Error {
	switch r.Command {
	case "ADD", "CHECK", "DEL":
	case "GC", "STATUS", "VERSION":
		return nil
	case "":
		return &Error{Code: CodeBadEnvironment, Msg: "CNI_COMMAND is not set"}
	default:
		return &Error{Code: CodeBadEnvironment, Msg: "unknown CNI_COMMAND " + r.Command, Details: "known are ADD, DEL, CHECK, GC, STATUS, VERSION"}
	}
	missing := ""
	switch {
	case r.ContainerID == "":
		missing = "CNI_CONTAINERID"
	case r.NetNS == "" && r.Command != "DEL": // a DEL after a reboot has none
		missing = "CNI_NETNS"
	case r.IfName == "":
		missing = "CNI_IFNAME"
	}
	if missing != "" {
		return &Error{Code: CodeBadEnvironment, Msg: missing + " is not set, " + r.Command + " needs it"}
	}
	if !validID(r.ContainerID) {
		return &Error{Code: CodeBadEnvironment, Msg: "CNI_CONTAINERID " + string(quote(r.ContainerID)) + " is not valid",
			Details: "it begins with a letter or digit and goes on with letters, digits, '_', '.' and '-'"}
	}
	if !validIfName(r.IfName) {
		return &Error{Code: CodeBadEnvironment, Msg: "CNI_IFNAME " + string(quote(r.IfName)) + " is not valid",
			Details: "it has 1 to 15 characters without '/', ':' and white space"}
	}
	return nil
}

func validID(s string) bool {
	for i := range len(s) {
		c := s[i]
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !word && (i == 0 || c != '_' && c != '.' && c != '-') {
			return false
		}
	}
	return s != ""
}

func validIfName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c == '/' || c == ':' || c <= ' ' || c == 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= 15 && s != "." && s != ".."
}
