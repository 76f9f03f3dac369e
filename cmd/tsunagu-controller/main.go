// Command tsunagu-controller carries out Networks, counts pools and releases
// what lost nodes left behind. Pods start without it; new Networks do not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/tsunagu-net/tsunagu/kube/admission"
	"github.com/tsunagu-net/tsunagu/kube/controller"
)

// version is set by the linker.
var version = "dev"

// The heap is small and its garbage large (decoded lists): collecting at half
// the usual growth costs little and keeps the process below 40 MiB.
const gcPercent = 50

func main() {
	// A set of its own: controller-runtime adds flags to the common one.
	flags := flag.NewFlagSet("tsunagu-controller", flag.ExitOnError)
	var o controller.Options
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server; empty for the Pod's service account")
	level := flags.String("log-level", "info", "debug, info, warn or error")
	show := flags.Bool("version", false, "print the version and exit")
	flags.StringVar(&o.Namespace, "namespace", envOr("POD_NAMESPACE", "tsunagu-system"), "namespace of the leader's Lease")
	flags.BoolVar(&o.Elect, "leader-elect", true, "act only when elected; needed as soon as there are two")
	flags.StringVar(&o.MetricsAddress, "metrics-address", ":9872", "where /metrics is served; 0 for nowhere")
	flags.StringVar(&o.HealthAddress, "health-address", "127.0.0.1:9873", "where /healthz and /readyz are served; 0 for nowhere")
	flags.DurationVar(&o.Quarantine, "node-quarantine", time.Minute, "how long a node must be gone, with no Pods left, before its addresses are given to others")
	flags.TextVar(&o.Admission.Mode, "admission", admission.Warn, "what is done about Pods that no node could attach: warn, deny or off")
	flags.BoolVar(&o.Admission.Place, "placement", true, "have Pods scheduled only to nodes that have their networks")
	flags.StringVar(&o.VSphere, "vsphere", "/etc/tsunagu/vsphere", "folder that says which vCenter nodes are given network cards by, and who asks it; it need not exist")
	flags.BoolVar(&o.Admission.Gates, "scheduling-gates", false, "keep Pods from scheduler and autoscalers while a node is given a network card for them (needs the right to patch Pods)")
	flags.BoolVar(&o.NodePools, "node-pools", false, "scale MachineDeployments of Cluster API that are annotated tsunagu.dev/pool-networks")
	scaling := flags.Bool("scale-up-events", false, "tell Pods that no node takes by an Event what Cluster Autoscaler makes of them (needs rights to read Cluster API's objects)")
	flags.IntVar(&o.Admission.Port, "admission-port", 9874, "port at which the API server is answered")
	flags.BoolVar(&o.Admission.Namespaces.Isolation, "namespace-isolation", false, "as the agents' flag: Pods may use networks of their own and of global namespaces only")
	global := flags.String("global-namespaces", "default", "as the agents' flag: comma list of namespaces whose networks all Pods may use")
	flags.Parse(os.Args[1:]) // exits on error
	o.Admission.Namespace = o.Namespace
	o.Admission.Namespaces.Global = strings.FieldsFunc(*global, func(r rune) bool { return r == ',' })
	if *show {
		fmt.Println("tsunagu-controller", version)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, *level, *scaling, o); err != nil {
		fmt.Fprintln(os.Stderr, "tsunagu-controller:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig, level string, scaling bool, o controller.Options) error {
	var at slog.Level
	if err := at.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("-log-level: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: at}))
	klog.SetLogger(logr.FromSlogHandler(log.Handler()))
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	cfg, err := config(kubeconfig)
	if err != nil {
		return err
	}
	cfg.UserAgent = "tsunagu-controller/" + version
	log.Info("starting", "version", version)
	if scaling {
		if o.ScaleUps, err = scaleUps(cfg); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	health := &controller.Health{}
	group.Go(func() error { return health.Serve(ctx, o.HealthAddress) })
	group.Go(func() error {
		m, err := controller.New(ctx, cfg, o, health, log)
		if err != nil {
			return err
		}
		if err := m.Start(ctx); err != nil {
			return err
		}
		return context.Canceled // ends the other
	})
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// config reads how to reach the API server. It is not kube's, which would
// bring the agent's rooms into this binary.
func config(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		cfg, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("read the service account: %w", err)
		}
		return cfg, nil
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	return cfg, nil
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
