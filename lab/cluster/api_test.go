package cluster

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What changes an object survives a connection that ends and a server that is not ready; a refusal is given at once.
func TestChangesAreAskedForAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(http.ResponseWriter)
		tries int
		says  string
	}{
		{"connection ends", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 2, ""},
		{"not ready", func(w http.ResponseWriter) { http.Error(w, "etcd", http.StatusServiceUnavailable) }, 2, ""},
		{"refused", func(w http.ResponseWriter) { http.Error(w, "no such field", http.StatusUnprocessableEntity) }, 1, "no such field"},
		{"absent", func(w http.ResponseWriter) { http.Error(w, "", http.StatusNotFound) }, 1, "not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tries := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tries++; tries == 1 {
					c.first(w)
				}
			}))
			defer srv.Close()
			a := &api{base: srv.URL}
			err := a.merge(t.Context(), "/x", map[string]int{"a": 1})
			if tries != c.tries || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%d tries, %v; want %d tries, %q", tries, err, c.tries, c.says)
			}
			if c.name == "absent" && !errors.Is(err, errNotFound) {
				t.Errorf("%v is not an absence", err)
			}
		})
	}
}
