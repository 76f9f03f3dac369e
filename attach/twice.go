package attach

import (
	"bytes"
	"encoding/json"
)

// twice gives a key that a JSON object has more than once, "" for none. RFC 8259 section 4 leaves open which of the two counts, and one
// of them would be dropped without a word.
func twice(object []byte) string {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil { // the brace
		return ""
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		key, isKey := token.(string)
		if err != nil || !isKey {
			return ""
		}
		if seen[key] {
			return key
		}
		seen[key] = true
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return ""
		}
	}
	return ""
}
