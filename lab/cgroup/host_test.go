package cgroup

import (
	"reflect"
	"strings"
	"testing"
)

func TestDetect(t *testing.T) {
	for name, tc := range map[string]struct {
		mountinfo string
		want      Host
		err       string
	}{
		"pure v2": {
			mountinfo: "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate",
			want:      Host{V2: "/sys/fs/cgroup"},
		},
		"hybrid, joint controllers": {
			mountinfo: `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw
33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset,clone_children`,
			want: Host{V2: "/sys/fs/cgroup/unified", V1: []Hierarchy{
				{"/sys/fs/cgroup/systemd", "none,name=systemd"},
				{"/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"},
				{"/sys/fs/cgroup/cpuset", "cpuset"},
			}},
		},
		"v1 alone": {
			mountinfo: "34 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
			err:       "mount -t cgroup2",
		},
		"a node's own view is not ours": {
			mountinfo: "30 23 0:26 / /elsewhere/cgroup rw - cgroup2 cgroup2 rw",
			err:       "no cgroup v2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(strings.NewReader(tc.mountinfo))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("want an error with %q, have %v", tc.err, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("want %+v, have %+v", tc.want, got)
			}
		})
	}
}
