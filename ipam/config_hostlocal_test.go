package ipam

import (
	"strings"
	"testing"
)

func TestParseHostLocal(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"as it was before there were ranges", `"subnet":"10.0.0.0/29"`, `blue:10.0.0.0/29=10.0.0.2-10.0.0.6 via 10.0.0.1`},
		{"begin, end, gateway", `"subnet":"10.0.0.0/24","rangeStart":"10.0.0.10","rangeEnd":"10.0.0.20","gateway":"10.0.0.15"`,
			`blue:10.0.0.10-10.0.0.20=10.0.0.10-10.0.0.14, 10.0.0.16-10.0.0.20 via 10.0.0.15`},
		{"one address of each list", `"ranges":[[{"subnet":"10.0.0.0/30"},{"subnet":"10.0.1.0/30"}],[{"subnet":"fd00::/126"}]]`,
			`blue:10.0.0.0/30=10.0.0.2 via 10.0.0.1; blue:10.0.1.0/30=10.0.1.2 via 10.0.1.1; blue:fd00::/126=fd00::2-fd00::3 via fd00::1`},
		{"both forms", `"subnet":"10.0.0.0/30","ranges":[[{"subnet":"10.0.1.0/30"}]],"dataDir":"/x","resolvConf":"/etc/resolv.conf"`,
			`blue:10.0.0.0/30=10.0.0.2 via 10.0.0.1; blue:10.0.1.0/30=10.0.1.2 via 10.0.1.1`},
		{"halves of one subnet", `"ranges":[[{"subnet":"10.0.0.0/28","rangeEnd":"10.0.0.7"}],[{"subnet":"10.0.0.0/28","rangeStart":"10.0.0.8"}]]`,
			`blue:10.0.0.1-10.0.0.7=10.0.0.2-10.0.0.7 via 10.0.0.1; blue:10.0.0.8-10.0.0.14=10.0.0.8-10.0.0.14 via 10.0.0.1`},
	} {
		got, err := ParseConfig([]byte(`{"type":"host-local",` + c.raw + `}`))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if words := describeConfig(got.OfNetwork("blue", false)); words != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, words, c.want)
		}
	}
}

func TestParseHostLocalSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want []string
	}{
		{``, []string{"no range", `"subnet"`}},
		{`"ranges":[[]]`, []string{"ipam.ranges[0]", "empty list"}},
		{`"ranges":[[{"gateway":"10.0.0.1"}]]`, []string{"ipam.ranges[0][0].subnet is missing"}},
		{`"subnet":"10.0.0.0"`, []string{"ipam.subnet", "prefix length"}},
		{`"subnet":"10.0.0.1/24"`, []string{"ipam.subnet", "write 10.0.0.0/24"}},
		{`"subnet":"10.0.0.0/31"`, []string{"ipam.subnet", "too small", "/30"}},
		{`"subnet":"fd00::/127"`, []string{"too small", "/126"}},
		{`"ranges":[[{"subnet":"10.0.0.0/24","rangeStart":"10.0.1.1"}]]`, []string{"ipam.ranges[0][0].rangeStart", "10.0.1.1", "10.0.0.0/24"}},
		{`"subnet":"10.0.0.0/24","rangeEnd":"10.0.1.1"`, []string{"ipam.rangeEnd", "10.0.1.1"}},
		{`"subnet":"10.0.0.0/24","rangeStart":"10.0.0.9","rangeEnd":"10.0.0.8"`, []string{"ipam.rangeEnd", "below", "10.0.0.9"}},
		{`"subnet":"10.0.0.0/24","gateway":"10.0.1.1"`, []string{"ipam.gateway", "10.0.1.1"}},
		{`"ranges":[[{"subnet":"10.0.0.0/24"},{"subnet":"fd00::/64"}]]`, []string{"ipam.ranges[0][1].subnet", "one address family", "list of its own"}},
		{`"ranges":[[{"subnet":"10.0.0.0/24"},{"subnet":"10.0.0.0/25"}]]`, []string{"ipam.ranges[0][1].subnet", "shares addresses", "ipam.ranges[0][0]"}},
		{`"ranges":[[{"subnet":"10.0.0.0/24"}],[{"subnet":"10.0.0.128/25"}]]`, []string{"ipam.ranges[1]", "shares addresses", "ipam.ranges[0]"}},
		{`"subnet":"10.0.0.0/30","rangeStart":"10.0.0.1","rangeEnd":"10.0.0.1"`, []string{"no address is left"}},
		{`"subnet":"10.0.0.0/24","routes":[{"dst":"default"}]`, []string{"ipam.routes[0].dst", "0.0.0.0/0"}},
		{`"subnet":"10.0.0.0/24","resolvConf":"resolv.conf"`, []string{"ipam.resolvConf", "full path"}},
		{`"subnet":7`, []string{"subnet", "string"}},
	} {
		raw := `{"type":"host-local"}`
		if c.raw != "" {
			raw = `{"type":"host-local",` + c.raw + `}`
		}
		_, err := ParseConfig([]byte(raw))
		if ReasonOf(err) != BadConfig {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", raw, err, w)
			}
		}
	}
}

// What is asked for and cannot be given is refused before anything is taken.
func TestHostLocalRequests(t *testing.T) {
	c, err := ParseConfig([]byte(`{"type":"host-local","ranges":[[{"subnet":"10.0.0.0/24","rangeStart":"10.0.0.10","rangeEnd":"10.0.0.20"},{"subnet":"10.0.1.0/24"}],[{"subnet":"fd00::/64"}]],"routes":[{"dst":"0.0.0.0/0"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	c = c.OfNetwork("blue", false)
	for _, r := range []struct{ ask, want, reason string }{
		{"", "any any", ""},
		{"10.0.0.11", "10.0.0.11 any", ""},
		{"10.0.1.7/24 fd00::9", "10.0.1.7 fd00::9", ""},
		{"10.0.0.21", "", OutOfRange},
		{"10.0.0.9/24", "", OutOfRange},
		{"192.168.1.1", "", OutOfRange},
		{"10.0.1.1", "", Excluded},
		{"10.0.1.255", "", Excluded},
		{"10.0.0.11 10.0.1.7", "", OutOfRange},
		{"10.0.0.11 10.0.0.12", "", OutOfRange},
	} {
		wants, _, err := c.Wants(nil, strings.Fields(r.ask))
		if ReasonOf(err) != r.reason {
			t.Errorf("%q: %v, want %q", r.ask, err, r.reason)
			continue
		}
		var words []string
		for _, w := range wants {
			word := "any"
			if w.Static.IsValid() {
				word = w.Static.String()
			}
			words = append(words, word)
		}
		if got := strings.Join(words, " "); got != r.want {
			t.Errorf("%q: %s, want %s", r.ask, got, r.want)
		}
	}
}

func TestDomainsOfHostLocal(t *testing.T) {
	c, err := ParseConfig([]byte(`{"type":"host-local","subnet":"10.0.0.0/24"}`))
	if err != nil {
		t.Fatal(err)
	}
	node, cluster := c.OfNetwork("blue", false), c.OfNetwork("blue", true)
	if p := node.Pools[0][0]; !node.NodeOnly || !p.Local || p.Domain != "host-local/blue" {
		t.Errorf("%+v", p)
	}
	if p := cluster.Pools[0][0]; cluster.NodeOnly || p.Local || p.Domain != "blue" {
		t.Errorf("%+v", p)
	}
}

func TestParseResolvConf(t *testing.T) {
	d := ParseResolvConf("# made by hand\nnameserver 10.0.0.2\nnameserver fd00::2\n; no\nsearch a.example b.example\noptions ndots:5 edns0\ndomain example\nsortlist x\nnameserver\n")
	if strings.Join(d.Nameservers, " ") != "10.0.0.2 fd00::2" || strings.Join(d.Search, " ") != "a.example b.example" || d.Domain != "example" || strings.Join(d.Options, " ") != "ndots:5 edns0" {
		t.Errorf("%+v", d)
	}
	if !ParseResolvConf("#\n").Empty() {
		t.Error("not empty")
	}
}

func TestParseDHCP(t *testing.T) {
	c, err := parseDHCP([]byte(`{"type":"dhcp","daemonSocketPath":"/run/x.sock","priority":50,"dhcp6":true,"provide":[{"option":"host-name","fromArg":"K8S_POD_NAME"},{"option":"60","value":"x"}],"request":[{"skipDefault":true},{"option":"routers"},{"option":"42"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	d := c.DHCP
	if !d.V4 || !d.V6 || d.Metric != 50 || len(d.Provide) != 2 || d.Provide[0].Code != 12 || d.Provide[1].Value != "x" || string(d.Request) != "\x03\x2a" {
		t.Errorf("%+v", d)
	}
	if c, err = parseDHCP([]byte(`{"type":"dhcp"}`)); err != nil || !c.DHCP.V4 || c.DHCP.V6 || string(c.DHCP.Request) != "\x01\x03\x06\x0f\x1a\x21\x77\x79" {
		t.Errorf("%+v, %v", c.DHCP, err)
	}
	for raw, want := range map[string]string{
		`{"type":"dhcp","dhcp4":false}`:                               "nothing to ask for",
		`{"type":"dhcp","priority":-1}`:                               "ipam.priority",
		`{"type":"dhcp","provide":[{"option":"colour","value":"x"}]}`: "colour",
		`{"type":"dhcp","provide":[{"option":"54","value":"x"}]}`:     "the server",
		`{"type":"dhcp","provide":[{"option":"12"}]}`:                 "value or fromArg",
		`{"type":"dhcp","request":[{"option":"0"}]}`:                  "ipam.request[0]",
		`{"type":"dhcp","provide":"x"}`:                               "provide",
	} {
		if _, err := ParseConfig([]byte(raw)); ReasonOf(err) != BadConfig || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}
