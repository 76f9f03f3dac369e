package hostport_test

import (
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
)

func TestParseMapping(t *testing.T) {
	for _, c := range []struct {
		ip         string
		host, port int
		protocol   string
		want       string // "" is an error
	}{
		{"", 80, 8080, "", "*:80/tcp"},
		{"0.0.0.0", 80, 8080, "TCP", "0.0.0.0:80/tcp"},
		{"::", 53, 53, "udp", "[::]:53/udp"},
		{"::ffff:192.0.2.1", 53, 53, "Udp", "192.0.2.1:53/udp"},
		{"fe80::1%eth0", 53, 53, "SCTP", "[fe80::1]:53/sctp"},
		{"localhost", 80, 80, "tcp", ""}, {"", 0, 80, "tcp", ""}, {"", 80, 0, "tcp", ""}, {"", 65536, 80, "tcp", ""}, {"", 80, 70000, "tcp", ""},
		{"", -1, 80, "tcp", ""}, {"", 80, 80, "icmp", ""},
	} {
		m, err := hostport.ParseMapping(c.ip, c.host, c.port, c.protocol)
		if (err != nil) != (c.want == "") || err == nil && m.String() != c.want {
			t.Errorf("%+v: %s, %v", c, m, err)
		}
	}
}
