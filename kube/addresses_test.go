package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// What an API server answers has the kind that ipam reasons with. Above all, a
// 404 because the definitions are gone is not the absence of a block.
func TestAddressErrors(t *testing.T) {
	status := func(code int, reason string) string {
		return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"details":{"name":"b","group":"tsunagu.dev","kind":"ipblocks"}}`, reason, code)
	}
	for _, c := range []struct {
		name, kind, body string
		code             int
		want             error
	}{
		{"no such block", "application/json", status(404, "NotFound"), 404, ipam.ErrNotFound},
		{"no such definition", "text/plain", "404 page not found\n", 404, nil},
		{"exists", "application/json", status(409, "AlreadyExists"), 409, ipam.ErrExists},
		{"conflict", "application/json", status(409, "Conflict"), 409, ipam.ErrConflict},
		{"forbidden", "application/json", status(403, "Forbidden"), 403, ipam.ErrForbidden},
		{"refused by the schema", "application/json", status(422, "Invalid"), 422, ipam.ErrForbidden},
		{"server error", "application/json", status(500, "InternalError"), 500, nil},
		{"etcd timed out", "application/json", status(504, "Timeout"), 504, nil},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(c.code)
			fmt.Fprint(w, c.body)
		}))
		client, err := Connect(&rest.Config{Host: server.URL}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewAddresses(client, slog.New(slog.DiscardHandler)).GetBlock(context.Background(), "b")
		server.Close()
		if err == nil {
			t.Errorf("%s: no error", c.name)
		}
		for _, kind := range []error{ipam.ErrNotFound, ipam.ErrExists, ipam.ErrConflict, ipam.ErrForbidden} {
			if errors.Is(err, kind) != (kind == c.want) {
				t.Errorf("%s: %v: is %q: %v", c.name, err, kind, errors.Is(err, kind))
			}
		}
	}
}
