package device

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// fakeKubelet serves the API, Get only when it is to.
type fakeKubelet struct {
	podresources.UnimplementedPodResourcesListerServer
	pods []*podresources.PodResources
	get  bool
}

func (f *fakeKubelet) List(context.Context, *podresources.ListPodResourcesRequest) (*podresources.ListPodResourcesResponse, error) {
	return &podresources.ListPodResourcesResponse{PodResources: f.pods}, nil
}

func (f *fakeKubelet) Get(_ context.Context, r *podresources.GetPodResourcesRequest) (*podresources.GetPodResourcesResponse, error) {
	if !f.get {
		return nil, status.Error(codes.Unknown, "PodResources API Get method disabled")
	}
	for _, p := range f.pods {
		if p.Name == r.PodName && p.Namespace == r.PodNamespace {
			return &podresources.GetPodResourcesResponse{PodResources: p}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no such Pod")
}

func serve(t *testing.T, f *fakeKubelet) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "kubelet.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	podresources.RegisterPodResourcesListerServer(s, f)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return socket
}

func container(resource string, ids ...string) *podresources.ContainerResources {
	return &podresources.ContainerResources{Devices: []*podresources.ContainerDevices{{ResourceName: resource, DeviceIds: ids}, {ResourceName: "other/x", DeviceIds: []string{"z"}}}}
}

func TestDevicesByTheAPI(t *testing.T) {
	for _, get := range []bool{true, false} {
		socket := serve(t, &fakeKubelet{get: get, pods: []*podresources.PodResources{
			{Name: "p", Namespace: "other", Containers: []*podresources.ContainerResources{container("intel.com/vf", "0000:03:02.7")}},
			{Name: "p", Namespace: "n", Containers: []*podresources.ContainerResources{container("intel.com/vf", "0000:03:02.3"), container("intel.com/vf", "0000:03:02.1")}},
		}})
		k := Kubelet{Socket: socket}
		ids, err := k.Devices(context.Background(), Pod{Namespace: "n", Name: "p"}, "intel.com/vf")
		if err != nil || !slices.Equal(ids, []string{"0000:03:02.1", "0000:03:02.3"}) {
			t.Errorf("get %v: %v, %v", get, ids, err)
		}
		if ids, err := k.Devices(context.Background(), Pod{Namespace: "n", Name: "q"}, "intel.com/vf"); err != nil || len(ids) != 0 {
			t.Errorf("get %v: a Pod without devices: %v, %v", get, ids, err)
		}
	}
}

const written = `{"Data":{"PodDeviceEntries":[
 {"PodUID":"u1","ContainerName":"c","ResourceName":"intel.com/vf","DeviceIDs":{"-1":["0000:03:02.3"],"0":["0000:03:02.1"]},"AllocResp":"EgA="},
 {"PodUID":"u1","ContainerName":"d","ResourceName":"intel.com/vf","DeviceIDs":["0000:03:02.2"],"AllocResp":""},
 {"PodUID":"u2","ContainerName":"c","ResourceName":"intel.com/vf","DeviceIDs":{"-1":["0000:03:02.4"]}},
 {"PodUID":"u1","ContainerName":"c","ResourceName":"intel.com/other","DeviceIDs":{"-1":["0000:04:02.3"]}}],
 "RegisteredDevices":{"intel.com/vf":["0000:03:02.1"]}},"Checksum":7}`

func TestDevicesByTheCheckpoint(t *testing.T) {
	dir := t.TempDir()
	k := Kubelet{Socket: filepath.Join(dir, "none"), Checkpoint: filepath.Join(dir, "checkpoint"), Infos: dir}
	pod := Pod{Namespace: "n", Name: "p", UID: "u1"}
	if _, err := k.Devices(context.Background(), pod, "intel.com/vf"); !errors.Is(err, ErrNoKubelet) {
		t.Errorf("neither socket nor file: %v", err)
	}
	if err := os.WriteFile(k.Checkpoint, []byte(written), 0o600); err != nil {
		t.Fatal(err)
	}
	ids, err := k.Devices(context.Background(), pod, "intel.com/vf")
	if err != nil || !slices.Equal(ids, []string{"0000:03:02.1", "0000:03:02.2", "0000:03:02.3"}) {
		t.Errorf("%v, %v", ids, err)
	}
	if err := os.WriteFile(k.Checkpoint, []byte(`{"Data":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Devices(context.Background(), pod, "intel.com/vf"); err == nil || !strings.Contains(err.Error(), k.Checkpoint) {
		t.Errorf("a broken file: %v", err)
	}
}

func TestInfo(t *testing.T) {
	k := Kubelet{Infos: t.TempDir()}
	if info, err := k.Info("intel.com/vf", "0000:03:02.1"); info != nil || err != nil {
		t.Errorf("nothing written: %s, %v", info, err)
	}
	name := filepath.Join(k.Infos, "intel.com-vf-0000:03:02.1-device.json")
	for content, good := range map[string]bool{`{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:03:02.1"}}`: true, `{}`: false, `[`: false} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if info, err := k.Info("intel.com/vf", "0000:03:02.1"); good != (err == nil && string(info) == content) {
			t.Errorf("%s: %s, %v", content, info, err)
		}
	}
}

// FuzzCheckpoint: whatever the file holds, reading it ends without a panic.
func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(written))
	f.Fuzz(func(_ *testing.T, content []byte) { _, _ = parseCheckpoint(content, "u1", "intel.com/vf") })
}
