package ipam

import (
	"strings"
	"testing"
)

func TestParseConfig(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"none", ``, ``},
		{"empty", `{}`, ``},
		{"named pools", `{"type":"tsunagu","pools":["blue-v4","blue-v6"]}`, `named blue-v4 blue-v6`},
		{"a range", `{"type":"tsunagu","range":"10.0.0.0/29"}`, `default:10.0.0.0/29=10.0.0.1-10.0.0.6`},
		{"whereabouts drops host bits", `{"type":"whereabouts","range":"192.168.2.225/28"}`, `default:192.168.2.224/28=192.168.2.225-192.168.2.238`},
		{"first-last/length", `{"type":"whereabouts","range":"192.168.2.225-192.168.2.230/28"}`, `default:192.168.2.225-192.168.2.230=192.168.2.225-192.168.2.230`},
		{"zeros in front", `{"type":"whereabouts","range":"192.168.002.000/30"}`, `default:192.168.2.0/30=192.168.2.1-192.168.2.2`},
		{"start, end, exclude", `{"type":"whereabouts","range":"10.0.0.0/24","range_start":"10.0.0.10","range_end":"10.0.0.20","exclude":["10.0.0.12/30","10.0.0.20"]}`,
			`default:10.0.0.10-10.0.0.20=10.0.0.10-10.0.0.11, 10.0.0.16-10.0.0.19`},
		{"ipRanges come after range", `{"type":"whereabouts","range":"10.0.0.0/30","ipRanges":[{"range":"fd00::/126"},{"range":"10.1.0.0/30","exclude":["10.1.0.1"]}]}`,
			`default:10.0.0.0/30=10.0.0.1-10.0.0.2; default:fd00::/126=fd00::1-fd00::2; default:10.1.0.0/30=10.1.0.2`},
		{"the gateway is of one family", `{"type":"whereabouts","gateway":"10.0.0.1","ipRanges":[{"range":"10.0.0.0/30"},{"range":"fd00::/126"}]}`,
			`default:10.0.0.0/30=10.0.0.2 via 10.0.0.1; default:fd00::/126=fd00::1-fd00::2`},
		{"network_name is the domain", `{"type":"whereabouts","network_name":"red","range":"10.0.0.0/30"}`, `red:10.0.0.0/30=10.0.0.1-10.0.0.2`},
		{"all fields of whereabouts", `{"type":"whereabouts","range":"10.0.0.0/30","log_file":"/tmp/x","log_level":"debug","leader_lease_duration":1500,"kubernetes":{"kubeconfig":"/x"},
			"enable_overlapping_ranges":false,"node_slice_size":"/28","datastore":"kubernetes","sleep_for_race":0,"configuration_path":"/x","etcd_host":"x","reconciler_cron_expression":"30 4 * * *"}`,
			`default:10.0.0.0/30=10.0.0.1-10.0.0.2`},
		{"the whole prefix", `{"type":"whereabouts","enable_l3":true,"range":"10.0.0.0/30"}`, `default:10.0.0.0/30=10.0.0.0-10.0.0.3`},
		{"static", `{"type":"static","addresses":[{"address":"10.0.0.7/24","gateway":"10.0.0.1"}],"routes":[{"dst":"0.0.0.0/0"}],"dns":{"nameservers":["10.0.0.2"]}}`, `static 10.0.0.7/24 via 10.0.0.1`},
	} {
		got, err := ParseConfig([]byte(c.raw))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if words := describeConfig(got); words != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, words, c.want)
		}
	}
}

func describeConfig(c Config) string {
	var words []string
	if len(c.PoolNames) > 0 {
		words = append(words, "named "+strings.Join(c.AllPoolNames(), " "))
	}
	for _, p := range c.AllPools() {
		w := p.Name + "=" + list(p.spans)
		if p.Gateway.IsValid() {
			w += " via " + p.Gateway.String()
		}
		words = append(words, w)
	}
	for _, s := range c.Static {
		words = append(words, "static "+s.Prefix.String()+" via "+s.Gateway.String())
	}
	return strings.Join(words, "; ")
}

func TestParseConfigSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want []string
	}{
		{`{"type":"tsunagu","range":"10.0.0.0/24",}`, []string{"broken JSON at byte"}},
		{`{"type":"tsunagu","pools":"blue"}`, []string{"pools", "list"}},
		{`{"type":"tsunagu","poools":["blue"]}`, []string{"poools"}},
		{`{"type":"tsunagu"}`, []string{"no pool and no range", `"pools"`}},
		{`{"type":"tsunagu","pools":["a","a"]}`, []string{"ipam.pools[1]", "each once"}},
		{`{"type":"tsunagu","pools":["a",["b","a"]]}`, []string{"ipam.pools[1]", `"a"`, "each once"}},
		{`{"type":"tsunagu","pools":[[]]}`, []string{"ipam.pools[0]", "empty list"}},
		{`{"type":"tsunagu","pools":[7]}`, []string{"pools", "tried in turn"}},
		{`{"range":"10.0.0.0/24"}`, []string{"ipam.type is missing"}},
		{`{"type":"calico-ipam"}`, []string{"calico-ipam", "whereabouts"}},
		{`{"type":"whereabouts","range":"10.0.0.0"}`, []string{"ipam.range", "10.0.0.0", "prefix length"}},
		{`{"type":"whereabouts","range":"10.0.0.0/24","range_start":"10.0.1.1"}`, []string{"ipam.range_start", "10.0.1.1", "10.0.0.0/24"}},
		{`{"type":"whereabouts","range":"10.0.0.0/24","range_start":"10.0.0.9","range_end":"10.0.0.3"}`, []string{"ipam.range_end", "10.0.0.3", "10.0.0.9"}},
		{`{"type":"whereabouts","range":"10.0.0.9-10.0.0.3/24"}`, []string{"ipam.range", "lower address first"}},
		{`{"type":"whereabouts","ipRanges":[{"range":"10.0.0.0/24"},{"range":"x/24"}]}`, []string{"ipam.ipRanges[1].range", `"x"`}},
		{`{"type":"whereabouts","range":"10.0.0.0/24","exclude":["10.0.0.256"]}`, []string{"ipam.exclude[0]", "10.0.0.256"}},
		{`{"type":"whereabouts","range":"10.0.0.0/24","gateway":"10.1.0.1"}`, []string{"ipam.gateway", "10.1.0.1", "10.0.0.0/24"}},
		{`{"type":"whereabouts","range":"10.0.0.0/30","exclude":["10.0.0.0/30"]}`, []string{"no address is left"}},
		{`{"type":"whereabouts","exclude":["10.0.0.0/30"]}`, []string{"need range"}},
		{`{"type":"whereabouts","range":"10.0.0.0/24","routes":[{"dst":"x"}]}`, []string{"ipam.routes[0].dst", `"x"`}},
		{`{"type":"static","addresses":[{"address":"10.0.0.7"}]}`, []string{"ipam.addresses[0].address", "10.0.0.7/24"}},
	} {
		_, err := ParseConfig([]byte(c.raw))
		if err == nil {
			t.Errorf("%s: no error, want one with %v", c.raw, c.want)
			continue
		}
		for _, word := range c.want {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v: does not say %q", c.raw, err, word)
			}
		}
		if ReasonOf(err) == "" {
			t.Errorf("%s: %v is not a Refusal", c.raw, err)
		}
	}
}

func TestWants(t *testing.T) {
	config := func(raw string) Config {
		c, err := ParseConfig([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	dual := config(`{"type":"whereabouts","range":"10.0.0.0/24","ipRanges":[{"range":"fd00::/120"}],"routes":[{"dst":"10.9.0.0/16"},{"dst":"fd09::/16"}],"addresses":[{"address":"10.0.0.77/24"},{"address":"192.0.2.1/32"}]}`)
	fixed := config(`{"type":"static","addresses":[{"address":"10.0.0.7/24","gateway":"10.0.0.1"}],"routes":[{"dst":"0.0.0.0/0"}]}`)
	for _, c := range []struct {
		name   string
		config Config
		ask    []string
		want   string
	}{
		{"any of each, extras are reserved where a pool has them", dual, nil, "any of 10.0.0.0/24, any of fd00::/120, 10.0.0.77, fixed 192.0.2.1/32"},
		{"asked for, as IP and as CIDR", dual, []string{"fd00::9/120", "10.0.0.9"}, "10.0.0.9, fd00::9, 10.0.0.77, fixed 192.0.2.1/32"},
		{"asked for twice", dual, []string{"10.0.0.9", "10.0.0.9"}, "10.0.0.9, any of fd00::/120, 10.0.0.77, fixed 192.0.2.1/32"},
		{"two of one pool", dual, []string{"10.0.0.9", "10.0.0.10"}, "10.0.0.9, any of fd00::/120, 10.0.0.77, 10.0.0.10, fixed 192.0.2.1/32"},
		{"outside", dual, []string{"10.1.0.9"}, OutOfRange},
		{"excluded", dual, []string{"10.0.0.255"}, Excluded},
		{"no address", dual, []string{"ten"}, BadConfig},
		{"static as configured", fixed, nil, "fixed 10.0.0.7/24"},
		{"static replaced", fixed, []string{"10.0.0.9"}, "fixed 10.0.0.9/24"},
		{"static replaced in another subnet", fixed, []string{"10.7.0.9/16"}, "fixed 10.7.0.9/16"},
		{"static without a length", fixed, []string{"10.7.0.9"}, BadConfig},
	} {
		wants, grants, err := c.config.Wants(nil, c.ask)
		got := ReasonOf(err)
		if err == nil {
			var words []string
			for _, w := range wants {
				if w.Static.IsValid() {
					words = append(words, w.Static.String())
				} else {
					words = append(words, "any of "+w.Pool.Prefix.String())
				}
				for _, r := range w.Pool.Routes {
					if r.Dst.Addr().BitLen() != w.Pool.Prefix.Addr().BitLen() {
						t.Errorf("%s: route %v of another family in pool %v", c.name, r, w.Pool.Prefix)
					}
				}
			}
			for _, g := range grants {
				words = append(words, "fixed "+g.Address.String())
			}
			got = strings.Join(words, ", ")
		}
		if got != c.want {
			t.Errorf("%s: got %s (%v), want %s", c.name, got, err, c.want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add(`{"type":"whereabouts","range":"192.168.2.225-192.168.2.230/28","exclude":["192.168.2.226/31"],"gateway":"192.168.2.225","routes":[{"dst":"0.0.0.0/0"}]}`)
	f.Add(`{"type":"tsunagu","ipRanges":[{"range":"fd00::/64","range_start":"fd00::10"}]}`)
	f.Add(`{"type":"static","addresses":[{"address":"10.0.0.7/24","gateway":"10.0.0.1"}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := ParseConfig([]byte(raw))
		if err != nil {
			if ReasonOf(err) == "" {
				t.Fatalf("%v is not a Refusal", err)
			}
			return
		}
		for _, p := range c.AllPools() {
			if p.Size() <= 0 || !isLabel(p.Domain) {
				t.Fatalf("pool %+v", p)
			}
			for _, r := range p.spans {
				if !p.Prefix.Contains(r.First) || !p.Prefix.Contains(r.Last) || r.Last.Less(r.First) || r.Contains(p.Gateway) {
					t.Fatalf("pool %+v gives out %v", p, r)
				}
			}
		}
	})
}

func FuzzParseRange(f *testing.F) {
	f.Add("10.0.0.1-10.0.0.9")
	f.Add("fd00::/64")
	f.Add("010.000.0.1")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRange(text)
		if err != nil {
			return
		}
		if again, err := ParseRange(r.String()); err != nil || again != r || r.Last.Less(r.First) {
			t.Fatalf("%q is %v, and that is %v, %v", text, r, again, err)
		}
	})
}
