package doctor

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	crdv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

func withoutCRD(name string) func(*Snapshot) {
	return func(s *Snapshot) {
		s.CRDs = slices.DeleteFunc(s.CRDs, func(c crdv1.CustomResourceDefinition) bool { return c.Name == name })
	}
}

var installDiagnoses = []diagnosis{
	{"all there", nothing, "TSU2001", nil, ""},
	{"ours", withoutCRD("ipblocks.tsunagu.dev"), "TSU2001", []string{"error | CustomResourceDefinition ipblocks.tsunagu.dev | deploy/crds"}, ""},
	{"the shared one", withoutCRD("network-attachment-definitions.k8s.cni.cncf.io"),
		"TSU2001", []string{"error | CustomResourceDefinition network-attachment-definitions.k8s.cni.cncf.io"}, ""},

	{"those of deploy/crds", nothing, "TSU2002", nil, ""},
	{"a field is not known", func(s *Snapshot) {
		spec := s.crd("ippools.tsunagu.dev").Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		delete(spec.Properties, "exclude")
	}, "TSU2002", []string{"error | CustomResourceDefinition ippools.tsunagu.dev | .spec.exclude"}, ""},
	{"a field of a list's entries is not known", func(s *Snapshot) {
		spec := s.crd("networks.tsunagu.dev").Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		delete(spec.Properties["subnets"].Items.Schema.Properties, "gateway")
	}, "TSU2002", []string{"error | CustomResourceDefinition networks.tsunagu.dev | .spec.subnets[].gateway"}, ""},
	{"version not served", func(s *Snapshot) { s.crd("networks.tsunagu.dev").Spec.Versions[0].Served = false },
		"TSU2002", []string{"error | CustomResourceDefinition networks.tsunagu.dev | v1alpha1 is not served"}, ""},

	{"running", nothing, "TSU2003", nil, ""},
	{"not there", func(s *Snapshot) { s.Deployments = nil },
		"TSU2003", []string{"error | Deployment tsunagu-system/tsunagu-controller | no Deployment"}, ""},
	{"scaled away", func(s *Snapshot) {
		none := int32(0)
		s.Deployments[0].Spec.Replicas, s.Deployments[0].Status = &none, appsv1.DeploymentStatus{}
	}, "TSU2003", []string{"error | Deployment tsunagu-system/tsunagu-controller | 0 replicas | --replicas=1"}, ""},
	{"crashing", func(s *Snapshot) {
		s.Deployments[0].Status = appsv1.DeploymentStatus{}
		p := corev1.Pod{ObjectMeta: named("tsunagu-system", "tsunagu-controller-x", "c")}
		p.Labels = map[string]string{nameLabel: "tsunagu", componentLabel: "controller"}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady}}
		crashing(&p)
		s.Pods = append(s.Pods, p)
	}, "TSU2003", []string{"error | Deployment tsunagu-system/tsunagu-controller | tsunagu-controller-x is not ready | OOMKilled"}, ""},
	{"answered", nothing, "TSU2004", nil, ""},
	{"admission is off", func(s *Snapshot) { s.Webhooks = nil; s.Deployments = nil }, "TSU2004", nil, ""},
	{"nobody answers", func(s *Snapshot) { s.Deployments[0].Status = appsv1.DeploymentStatus{} },
		"TSU2004", []string{"warning | ValidatingWebhookConfiguration tsunagu | none of the Pods | logs deployment/tsunagu-controller"}, "TSU2003"},
	{"left behind", func(s *Snapshot) { s.Deployments = nil },
		"TSU2004", []string{"warning | ValidatingWebhookConfiguration tsunagu | no controller | kubectl delete validatingwebhookconfiguration tsunagu"}, ""},
	{"trusted", nothing, "TSU2005", nil, ""},
	{"certificate at its end", func(s *Snapshot) { s.Time = now.Add(100 * 24 * time.Hour) },
		"TSU2005", []string{"warning | Secret tsunagu-system/tsunagu-webhook | ended at 2027-02-21"}, ""},
	{"another authority", func(s *Snapshot) {
		other, _ := admissionOf(now, now.Add(time.Hour))
		s.Webhooks[0].Webhooks[0].ClientConfig.CABundle = other
	}, "TSU2005", []string{"warning | ValidatingWebhookConfiguration tsunagu | caBundle of pods.admission.tsunagu.dev | unknown authority"}, ""},
	{"no certificate", func(s *Snapshot) { s.Certificates[0].Serving = []byte("nonsense") },
		"TSU2005", []string{"warning | Secret tsunagu-system/tsunagu-webhook | no certificate"}, ""},
	{"no Secret", func(s *Snapshot) { s.Certificates = nil },
		"TSU2005", []string{"warning | Secret tsunagu-system/tsunagu-webhook | does not exist"}, ""},
	{"in another namespace", func(s *Snapshot) {
		s.Deployments[0].Namespace, s.Deployments[0].Name = "net", "my-controller"
		s.Deployments[0].Labels = map[string]string{nameLabel: "tsunagu", componentLabel: "controller"}
	}, "TSU2003", nil, ""},
}
