package scaleup

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Autoscaler is how Cluster Autoscaler runs.
type Autoscaler struct {
	// Version; Assumed tells that it was not found and the newest known is taken.
	Version Version
	Assumed bool
	// Args are those of its container.
	Args []string
	// Started is when its process began; zero when that is not known.
	Started time.Time
	// Denied are rights that it lacks: verb and resource, such as "watch vspheremachinetemplates.infrastructure.cluster.x-k8s.io".
	Denied map[string][]string
}

// flag gives the values of a flag, written --flag=value or --flag value.
func (a Autoscaler) flag(name string) (values []string) {
	for i, arg := range a.Args {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			values = append(values, value)
		} else if arg == "--"+name && i+1 < len(a.Args) {
			values = append(values, a.Args[i+1])
		}
	}
	return values
}

// IsAutoscaler tells whether a container with these arguments is Cluster Autoscaler for Cluster API.
func IsAutoscaler(command []string) bool {
	return slices.Contains(Autoscaler{Args: command}.flag("cloud-provider"), "clusterapi")
}

// discovery is one --node-group-auto-discovery=clusterapi:key=value,…
type discovery struct {
	text, namespace, cluster string
	labels                   [][2]string
}

func (a Autoscaler) discoveries() (all []discovery) {
	for _, text := range a.flag("node-group-auto-discovery") {
		rest, ok := strings.CutPrefix(text, "clusterapi:")
		if !ok {
			continue
		}
		d := discovery{text: text}
		for _, item := range strings.Split(rest, ",") {
			switch key, value, _ := strings.Cut(item, "="); key {
			case "namespace":
				d.namespace = value
			case "clusterName":
				d.cluster = value
			default:
				d.labels = append(d.labels, [2]string{key, value})
			}
		}
		all = append(all, d)
	}
	return all
}

// excludes says by which field a group does not match, "" if it does.
func (d discovery) excludes(g Group) string {
	if d.namespace != "" && d.namespace != g.Namespace {
		return fmt.Sprintf("namespace is %s, it wants %s", g.Namespace, d.namespace)
	}
	if d.cluster != "" && d.cluster != g.Cluster {
		return fmt.Sprintf("spec.clusterName is %q, it wants %s", g.Cluster, d.cluster)
	}
	for _, l := range d.labels {
		if g.Labels[l[0]] != l[1] {
			return fmt.Sprintf("label %s is %q, it wants %q", l[0], g.Labels[l[0]], l[1])
		}
	}
	return ""
}

// discovered says why the autoscaler does not look at a group.
func (a Autoscaler) discovered(g Group) []Problem {
	if _, paused := g.Annotations[keyPaused]; paused && !a.Version.Before(sincePaused) {
		return []Problem{{CodePaused, Drops, keyPaused, g.Annotations[keyPaused], "the group is paused: the autoscaler leaves it and its nodes out",
			fmt.Sprintf("kubectl -n %s annotate %s %s %s-", g.Namespace, resourceOf(g.Kind), g.Name, keyPaused)}}
	}
	all := a.discoveries()
	if len(all) == 0 {
		return nil
	}
	if first := watched(all); first != "" && first != g.Namespace {
		return []Problem{{CodeTwoSpaces, Drops, "--node-group-auto-discovery", all[0].text,
			fmt.Sprintf("of several namespaces only the first, %s, is watched: groups of namespace %s are not seen, without a word", first, g.Namespace),
			"run one Cluster Autoscaler per namespace, or name no namespace"}}
	}
	var why []string
	for _, d := range all {
		field := d.excludes(g)
		if field == "" {
			return nil
		}
		why = append(why, fmt.Sprintf("%s excludes it because %s", d.text, field))
	}
	return []Problem{{CodeExcluded, Drops, "--node-group-auto-discovery", all[0].text, strings.Join(why, "; "), "correct the flag of the autoscaler, or the group"}}
}

// watched is the one namespace that is watched, "" for all.
func watched(all []discovery) string {
	for _, d := range all {
		if d.namespace != "" {
			return d.namespace
		}
	}
	return ""
}

// startupTaint tells whether a taint is left out of templates: it goes before Pods come.
func (a Autoscaler) startupTaint(key string) bool {
	for _, prefix := range []string{"startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	// CAPI's own, and those that every new node has for a moment.
	return slices.Contains(a.flag("startup-taint"), key) || slices.Contains(a.flag("ignore-taint"), key) ||
		key == "node.cluster.x-k8s.io/uninitialized" || key == "node.cloudprovider.kubernetes.io/uninitialized" || strings.HasPrefix(key, "node.kubernetes.io/")
}
