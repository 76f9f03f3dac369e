package bench

import "testing"

const auditLines = `{"stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"list","objectRef":{"resource":"pods"},"responseStatus":{"code":200}}
{"stage":"ResponseStarted","requestURI":"/api/v1/pods?watch=1","verb":"watch","objectRef":{"resource":"pods"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","requestURI":"/api/v1/pods?watch=1","verb":"watch","objectRef":{"resource":"pods"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","requestURI":"/x","verb":"patch","objectRef":{"resource":"pods","subresource":"status"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","requestURI":"/x","verb":"patch","objectRef":{"resource":"pods","subresource":"status"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","requestURI":"/x","verb":"create","objectRef":{"resource":"ipblocks"},"responseStatus":{"code":409}}
{"stage":"ResponseComplete","requestURI":"/version?timeout=1s","verb":"get","userAgent":"curl/8"}
`

func all(string) bool { return true }

func TestAudit(t *testing.T) {
	r, err := readAudit([]byte(auditLines), all)
	if err != nil {
		t.Fatal(err)
	}
	want := "2 × patch pods/status, 1 × create ipblocks → 409, 1 × get /version, 1 × list pods, 1 × watch pods"
	if r.String() != want {
		t.Errorf("have %s\nwant %s", r, want)
	}
	curl, err := readAudit([]byte(auditLines), func(agent string) bool { return agent == "curl/8" })
	if err != nil || curl.String() != "1 × get /version" {
		t.Errorf("of one user agent: %v, %v", curl, err)
	}
	if r.writes() != 3 || r.writes("patch pods/status") != 1 {
		t.Errorf("%d writes, %d without the status; want 3 and 1", r.writes(), r.writes("patch pods/status"))
	}
	if _, err := readAudit([]byte("{\n"), all); err == nil {
		t.Error("half a line is no error: requests would be missing")
	}
	if (Requests{}).String() != "none" {
		t.Error("no requests are called", Requests{})
	}
}
