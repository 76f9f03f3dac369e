package snapshot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"
)

// A right is asked for in the name of another, and the answer is the API server's.
func TestMay(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ask authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || r.URL.Path != "/apis/authorization.k8s.io/v1/subjectaccessreviews" {
			refuse(w, http.StatusBadRequest, "BadRequest")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		if ask.Spec.ResourceAttributes.Verb == "list" {
			fmt.Fprint(w, `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","status":{"allowed":false,"evaluationError":"webhook: timed out"}}`)
			return
		}
		fmt.Fprintf(w, `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","status":{"allowed":%t}}`,
			ask.Spec.User == "ca" && ask.Spec.ResourceAttributes.Verb != "watch")
	}))
	defer server.Close()
	reader, err := NewReader(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	for verb, want := range map[string]bool{"get": true, "watch": false} {
		have, err := reader.May(t.Context(), "ca", nil, authorizationv1.ResourceAttributes{Verb: verb, Resource: "vspheremachinetemplates"})
		if err != nil || have != want {
			t.Errorf("%s: want %t, have %t, %v", verb, want, have, err)
		}
	}
	// No is an answer only when every authorizer was asked.
	_, err = reader.May(t.Context(), "ca", nil, authorizationv1.ResourceAttributes{Verb: "list", Resource: "vspheremachinetemplates"})
	if err == nil || !strings.Contains(err.Error(), "webhook: timed out") {
		t.Errorf("list: want that it is not known, have %v", err)
	}
}
