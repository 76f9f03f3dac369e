package ovs

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAnswer(t *testing.T) {
	for text, want := range map[string]string{
		`{"id":"echo","method":"echo","params":[]}{"id":1,"result":[{"rows":[{"name":"br0","tag":["set",[]]}]}],"error":null}`: "",
		`{"id":1,"result":null,"error":"unknown database"}`:                                                                    "unknown database",
		`{"id":1,"result":[{},{"error":"constraint violation","details":"tag"}]}`:                                              "constraint violation: tag",
		`{"id":1,"result":[{"rows":[{"a":[]}]}]}`:                                                                              "not in the notation",
		`{"id":1,"result":7}`: "cannot unmarshal",
		``:                    "EOF",
		`]`:                   "invalid character",
	} {
		results, err := answer(json.NewDecoder(strings.NewReader(text)))
		switch {
		case want == "" && (err != nil || len(results) != 1 || results[0].Rows[0]["name"] != "br0"):
			t.Errorf("%s: %v, %v", text, results, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// FuzzAnswer: whatever the other end says, reading it ends without a panic.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"id":1,"result":[{"rows":[{"_uuid":["uuid","a"],"external_ids":["map",[["owner","x"]]],"trunks":["set",[1,2]],"ofport":1}]}],"error":null}`)
	f.Fuzz(func(_ *testing.T, text string) {
		results, err := answer(json.NewDecoder(strings.NewReader(text)))
		if err != nil {
			return
		}
		for _, r := range results {
			for _, row := range r.Rows {
				var st State
				st.readInterface(row)
				_, _ = numbers(row["trunks"]), idOf(row, "owner")
			}
		}
	})
}
