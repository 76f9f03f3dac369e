package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// Usual places of kubelet's, and of the files of device plugins.
const (
	Socket     = "/var/lib/kubelet/pod-resources/kubelet.sock"
	Checkpoint = "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint"
	Infos      = "/var/run/k8s.cni.cncf.io/devinfo/dp"
)

// Kubelet is where to ask. The zero value asks at the usual places.
type Kubelet struct {
	// Socket serves the PodResources API, Checkpoint is the file that is read when nobody serves it, Infos the directory of device plugins.
	Socket, Checkpoint, Infos string
}

// Pod is whose devices are asked for.
type Pod struct{ Namespace, Name, UID string }

// ErrNoKubelet tells that there is neither socket nor checkpoint.
var ErrNoKubelet = errors.New("kubelet tells nothing of devices")

// answerWait is how long kubelet may take.
const answerWait = 5 * time.Second

// Devices lists the devices of a resource that the containers of a Pod have, in order; none is no error.
func (k Kubelet) Devices(ctx context.Context, pod Pod, resource string) ([]string, error) {
	socket := or(k.Socket, Socket)
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		return k.fromCheckpoint(pod, resource)
	}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("ask kubelet at %s: %w", socket, err)
	}
	defer conn.Close()
	p, err := ask(ctx, podresources.NewPodResourcesListerClient(conn), pod)
	if err != nil {
		return nil, fmt.Errorf("ask kubelet at %s for devices of Pod %s/%s: %w", socket, pod.Namespace, pod.Name, err)
	}
	return devices(p, resource), nil
}

// ask asks for one Pod, and for all where kubelet cannot tell of one (before Kubernetes 1.27, or with a feature turned off).
func ask(ctx context.Context, kubelet podresources.PodResourcesListerClient, pod Pod) (*podresources.PodResources, error) {
	one, err := kubelet.Get(ctx, &podresources.GetPodResourcesRequest{PodName: pod.Name, PodNamespace: pod.Namespace})
	if err == nil {
		return one.GetPodResources(), nil
	}
	if c := status.Code(err); c == codes.DeadlineExceeded || c == codes.Unavailable || c == codes.Canceled {
		return nil, err
	}
	all, err := kubelet.List(ctx, &podresources.ListPodResourcesRequest{})
	if err != nil {
		return nil, err
	}
	for _, p := range all.GetPodResources() {
		if p.GetName() == pod.Name && p.GetNamespace() == pod.Namespace {
			return p, nil
		}
	}
	return nil, nil
}

// devices are those of a resource over all containers, each once.
func devices(p *podresources.PodResources, resource string) (ids []string) {
	for _, c := range p.GetContainers() {
		for _, d := range c.GetDevices() {
			if d.GetResourceName() != resource {
				continue
			}
			for _, id := range d.GetDeviceIds() {
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
		}
	}
	slices.Sort(ids)
	return ids
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
