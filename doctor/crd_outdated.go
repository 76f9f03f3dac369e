package doctor

import (
	"reflect"
	"slices"
	"strings"

	crdv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

var crdOutdated = Check{
	Code:  "TSU2002",
	Title: "a CustomResourceDefinition is older than this tsunagu",
	Explain: `The API server drops fields that a definition does not know, without a word. A field that this version writes and the definition ` +
		`lacks is therefore lost. Definitions are not updated with the rest of the install (docs/decisions/0003).`,
	Needs: []Part{CRDs},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, k := range []struct {
			crd  string
			kind reflect.Type
		}{
			{"networks.tsunagu.dev", reflect.TypeFor[v1alpha1.Network]()},
			{"ippools.tsunagu.dev", reflect.TypeFor[v1alpha1.IPPool]()},
			{"ipregions.tsunagu.dev", reflect.TypeFor[v1alpha1.IPRegion]()},
			{"ipblocks.tsunagu.dev", reflect.TypeFor[v1alpha1.IPBlock]()},
			{"ipaddresses.tsunagu.dev", reflect.TypeFor[v1alpha1.IPAddress]()},
		} {
			crd := s.crd(k.crd)
			if crd == nil {
				continue
			}
			if cause := outdated(crd, k.kind); cause != "" {
				found = append(found, Finding{
					Severity: Error,
					Object:   Object{"CustomResourceDefinition", "", k.crd},
					Cause:    cause,
					Breaks:   "the API server drops what this version writes there",
					Fix:      "kubectl apply --server-side -f deploy/crds of this tsunagu's version",
				})
			}
		}
		return found
	},
}

func outdated(crd *crdv1.CustomResourceDefinition, kind reflect.Type) string {
	i := slices.IndexFunc(crd.Spec.Versions, func(v crdv1.CustomResourceDefinitionVersion) bool {
		return v.Name == v1alpha1.GroupVersion.Version && v.Served
	})
	if i < 0 {
		return "version " + v1alpha1.GroupVersion.Version + " is not served"
	}
	schema := crd.Spec.Versions[i].Schema
	if schema == nil || schema.OpenAPIV3Schema == nil {
		return ""
	}
	lacking := fieldsNotIn(kind, *schema.OpenAPIV3Schema, "")
	if len(lacking) == 0 {
		return ""
	}
	return "its schema does not know " + list(lacking)
}

// fieldsNotIn names the fields of a type of ours that a schema does not know.
func fieldsNotIn(t reflect.Type, schema crdv1.JSONSchemaProps, path string) []string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Slice && schema.Items != nil && schema.Items.Schema != nil {
		return fieldsNotIn(t.Elem(), *schema.Items.Schema, path+"[]")
	}
	if t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[v1alpha1.Network]().PkgPath() ||
		schema.XPreserveUnknownFields != nil && *schema.XPreserveUnknownFields {
		return nil
	}
	var lacking []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" { // inlined
			lacking = append(lacking, fieldsNotIn(f.Type, schema, path)...)
			continue
		}
		inner, ok := schema.Properties[name]
		if !ok {
			lacking = append(lacking, path+"."+name)
			continue
		}
		lacking = append(lacking, fieldsNotIn(f.Type, inner, path+"."+name)...)
	}
	return lacking
}
