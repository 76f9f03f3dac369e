package manifest

import (
	"context"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// Schema is a definition that the API server would accept, and judges objects
// of its kind as the API server would.
type Schema struct {
	Group, Version, Kind string

	structural *schema.Structural
	openapi    validation.SchemaValidator
	rules      *cel.Validator
}

// ParseSchema checks a CustomResourceDefinition as the API server does when it
// is created (structure, cost of its rules) and returns its first version.
func ParseSchema(o unstructured.Unstructured) (Schema, error) {
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &v1, true); err != nil {
		return Schema{}, fmt.Errorf("definition %s: %w", o.GetName(), err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	v1.Status.StoredVersions = []string{v1.Spec.Versions[0].Name}
	var crd apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, &crd, nil); err != nil {
		return Schema{}, fmt.Errorf("definition %s: %w", o.GetName(), err)
	}
	if errs := crdvalidation.ValidateCustomResourceDefinition(context.Background(), &crd); len(errs) > 0 {
		return Schema{}, fmt.Errorf("definition %s: %w", o.GetName(), errs.ToAggregate())
	}
	props := &apiextensions.CustomResourceValidation{}
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(v1.Spec.Versions[0].Schema, props, nil); err != nil {
		return Schema{}, fmt.Errorf("definition %s: schema: %w", o.GetName(), err)
	}
	structural, err := schema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		return Schema{}, fmt.Errorf("definition %s: schema: %w", o.GetName(), err)
	}
	openapi, _, err := validation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		return Schema{}, fmt.Errorf("definition %s: schema: %w", o.GetName(), err)
	}
	return Schema{
		Group: v1.Spec.Group, Version: v1.Spec.Versions[0].Name, Kind: v1.Spec.Names.Kind,
		structural: structural,
		openapi:    openapi,
		rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// Check returns what the API server would say against creating o, or against
// updating old to o if old is not nil. Unknown fields count as errors, as with
// kubectl's strict validation. Check fills in o's defaults.
func (s Schema) Check(o, old *unstructured.Unstructured) error {
	var errs field.ErrorList
	unknown := pruning.PruneWithOptions(o.DeepCopy().Object, s.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	for _, path := range unknown {
		errs = append(errs, field.Invalid(field.NewPath(path), nil, "unknown field"))
	}
	defaulting.Default(o.Object, s.structural)
	errs = append(errs, validation.ValidateCustomResource(nil, o.Object, s.openapi)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, o.Object)...)
	var before any
	if old != nil {
		defaulting.Default(old.Object, s.structural)
		before = old.Object
	}
	broken, _ := s.rules.Validate(context.Background(), nil, s.structural, o.Object, before, celconfig.RuntimeCELCostBudget)
	return append(errs, broken...).ToAggregate()
}

// Rules returns every CEL rule of the definition, wherever in the schema it
// stands.
func (s Schema) Rules() []apiextensionsv1.ValidationRule { return rulesOf(s.structural) }

func rulesOf(s *schema.Structural) []apiextensionsv1.ValidationRule {
	if s == nil {
		return nil
	}
	all := append([]apiextensionsv1.ValidationRule(nil), s.XValidations...)
	all = append(all, rulesOf(s.Items)...)
	for _, p := range s.Properties {
		all = append(all, rulesOf(&p)...)
	}
	return all
}
