package chained

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/reference"
)

// compatRow is one option of a reference plugin and what comes of it here.
type compatRow struct {
	Plugin, Option string
	// Config is what the option looks like, beside type and name.
	Config string
	// Want is "works", the words of the refusal, or "plugin" where the node's plugin is executed.
	Want string

	// newer tells that the plugins of Debian (1.1.1) do not know the option, needs is what the kernel must have.
	newer     bool
	needs     string
	addresses []string
	runtime   Runtime
	// asked is runtime in the words of runtimeConfig.
	asked map[string]any
	knobs []string
	// differs are parts of lines of the portrait that are another's on purpose.
	differs []string
	prepare func(w *world)
	// restores tells that after DEL everything is as it was before ADD; where it is not, the plugin leaves what we leave.
	restores bool
	// effect is looked at while it is there; what it gives is compared too.
	effect func(w *world) []string
}

const v4, v6 = "10.7.0.2/24 via 10.7.0.1", "fd00:7::2/64 via fd00:7::1"

func TestCompatibility(t *testing.T) {
	for _, r := range compatRows() {
		t.Run(r.Plugin+"/"+r.Option, func(t *testing.T) {
			t.Parallel()
			r.run(t)
		})
	}
}

func (r compatRow) run(t *testing.T) {
	spec, err := Parse(r.Plugin, []byte(r.Config))
	switch r.Want {
	case "plugin":
		if _, ok := errors.AsType[Elsewhere](err); !ok {
			t.Errorf("%s is read as %+v, %v", r.Config, spec, err)
		}
		return
	case "works":
		if err != nil {
			t.Fatal(err)
		}
		if r.needs != "" && !kernelHas(t, r.needs) {
			r.prepare = nil
			r.refused(newWorld(t, r.addresses...), spec, nil, "there is no module "+r.needs)
			return
		}
		own := newWorld(t, r.addresses...)
		before, here, gone := r.carriedOut(own, spec)
		if r.restores {
			r.compare(t, "before ADD and after DEL", gone, before)
		}
		for _, plugin := range r.references(t) {
			there, left := r.byReference(newWorld(t, r.addresses...), plugin)
			r.compare(t, "after ADD by "+plugin, here, there)
			if !r.restores {
				r.compare(t, "after DEL by "+plugin, gone, left)
			}
		}
	default:
		if r.needs != "" && !kernelHas(t, r.needs) {
			r.prepare, r.Want = nil, r.needs
		}
		r.refused(newWorld(t, r.addresses...), spec, err, r.Want)
	}
}

// refused demands a Refusal with these words, and that nothing has changed.
func (r compatRow) refused(w *world, spec Spec, err error, words string) {
	w.Helper()
	if r.prepare != nil {
		r.prepare(w)
	}
	before := w.portrait(r.knobs...)
	if err == nil {
		w.call.Runtime = r.runtime
		_, _, err = w.runner.Add(context.Background(), w.call, spec)
	}
	refusal, ok := errors.AsType[kind.Refusal](err)
	if !ok || !strings.Contains(err.Error(), words) || refusal.Fix() == "" {
		w.Errorf("want a refusal with %q, have %v", words, err)
	}
	if d := differences(w.portrait(r.knobs...), before); len(d) > 0 {
		w.Errorf("it left something:\n%s", strings.Join(d, "\n"))
	}
}

// carriedOut does it, checks it and takes it away, twice; it gives the portraits in between and after.
func (r compatRow) carriedOut(w *world, spec Spec) (clean, here, gone []string) {
	w.Helper()
	ctx := context.Background()
	if r.prepare != nil {
		r.prepare(w)
	}
	w.call.Runtime = r.runtime
	before := w.call.Wired
	clean = w.portrait(r.knobs...)
	wired, state := w.add(spec)
	here = w.portrait(r.knobs...)
	if r.effect != nil {
		here = append(here, r.effect(w)...)
	}
	w.call.Wired = wired
	w.must(w.runner.Check(ctx, w.call, spec, state))
	w.must(w.runner.Del(ctx, w.call, spec, state))
	gone = w.portrait(r.knobs...)
	w.must(w.runner.Del(ctx, w.call, spec, state))
	if d := differences(w.portrait(r.knobs...), gone); len(d) > 0 {
		w.Errorf("a second DEL changed something:\n%s", strings.Join(d, "\n"))
	}
	// A DEL after a crash knows no state; one after the Pod has gone knows no namespace either, nor what was wired.
	w.call.Wired = before
	if wired, state, err := w.runner.Add(ctx, w.call, spec); err != nil {
		w.Errorf("a second ADD: %v", err)
	} else {
		w.call.Wired = wired
		w.must(w.runner.Del(ctx, w.call, spec, nil))
		w.call.Wired, w.call.NetNS = kind.Wired{ContainerID: id, IfName: "net1"}, ""
		w.must(w.runner.Del(ctx, w.call, spec, nil))
		w.must(w.runner.Del(ctx, w.call, spec, state))
	}
	return clean, here, gone
}

// references are the plugins that know the option, of each version.
func (r compatRow) references(t *testing.T) (plugins []string) {
	t.Helper()
	newest, err := reference.Newest()
	if err != nil {
		t.Fatal(err)
	}
	if !r.newer {
		plugins = append(plugins, filepath.Join(reference.Debian, r.Plugin))
	}
	return append(plugins, filepath.Join(newest, r.Plugin))
}

// byReference has the plugin do it and take it away.
func (r compatRow) byReference(w *world, binary string) (there, left []string) {
	w.Helper()
	if r.prepare != nil {
		r.prepare(w)
	}
	config := strings.Replace(r.Config, "{", `{"dataDir":"`+w.dir+`",`, 1)
	config = strings.Replace(config, ",}", "}", 1)
	w.must(w.reference("ADD", binary, config, r.asked))
	there = w.portrait(r.knobs...)
	if r.effect != nil {
		there = append(there, r.effect(w)...)
	}
	w.must(w.reference("DEL", binary, config, r.asked))
	return there, w.portrait(r.knobs...)
}

// compare tells every object that is not the same, unless it is another's on purpose.
func (r compatRow) compare(t *testing.T, when string, own, theirs []string) {
	t.Helper()
	var left []string
next:
	for _, line := range differences(own, theirs) {
		for _, part := range r.differs {
			if strings.Contains(line, part) {
				continue next
			}
		}
		left = append(left, line)
	}
	if len(left) > 0 {
		t.Errorf("%s: %d objects differ:\n%s", when, len(left), strings.Join(left, "\n"))
	}
}
