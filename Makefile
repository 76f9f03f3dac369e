# tsunagu: the commands people use. `make help` lists them.
#
# Everything a fresh Debian or Ubuntu machine lacks is installed by `make deps`
# (Go itself is expected); elsewhere `make deps` prints what to install.
# Big build products (Kubernetes itself) live in ~/.cache/tsunagu, not here.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false
LAB     ?= lab
NODES   ?= 3

# Node namespaces, mounts and raw sockets need root; the Go caches stay the user's.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -E env PATH="$$PATH" GOFLAGS="$(GOFLAGS)")

BINARIES := tsunagu tsunagu-cni tsunagu-agent tsunagu-controller tsunagu-keep tsunagu-vip

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---------------------------------------------------------------- dependencies

# command:Debian package
NEEDED := containerd:containerd runc:runc ip:iproute2 nft:nftables busybox:busybox-static \
          iperf3:iperf3 ping:iputils-ping conntrack:conntrack mount:mount curl:curl wget:wget \
          ovs-vswitchd:openvswitch-switch qemu-system-x86_64:qemu-system-x86 depmod:kmod clang:clang llvm-strip:llvm \
          keepalived:keepalived dnsmasq:dnsmasq-base kea-dhcp4:kea-dhcp4-server kea-dhcp6:kea-dhcp6-server vtysh:frr
# files without a command of their own
NEEDED_FILES := /usr/lib/cni/macvlan:containernetworking-plugins /usr/include/bpf/bpf_helpers.h:libbpf-dev

.PHONY: deps
deps: ## install what is missing (Debian/Ubuntu), or print it
	@command -v go >/dev/null || { echo "Go is missing: install Go 1.26 or newer (https://go.dev/dl)"; exit 1; }
	@missing=""; \
	for p in $(NEEDED); do PATH="$$PATH:/usr/sbin:/sbin" command -v "$${p%%:*}" >/dev/null || missing="$$missing $${p##*:}"; done; \
	for p in $(NEEDED_FILES); do test -e "$${p%%:*}" || missing="$$missing $${p##*:}"; done; \
	test -z "$$missing" && exit 0; \
	if command -v apt-get >/dev/null; then \
	  echo "installing$$missing"; \
	  $(SUDO) apt-get update -qq; \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else \
	  echo "please install (Debian's names):$$missing"; exit 1; \
	fi

# ----------------------------------------------------------------------- build

.PHONY: build
build: ## build the binaries into bin/
	@mkdir -p bin
	@for b in $(BINARIES); do echo "build bin/$$b"; $(GOBUILD) -ldflags '$(LDFLAGS)' -o bin/$$b ./cmd/$$b; done
	@echo "build bin/tsunagu-lab"; (cd lab && $(GOBUILD) -ldflags '$(LDFLAGS)' -o ../bin/tsunagu-lab ./cmd/tsunagu-lab)

.PHONY: image
image: ## build the image dist/tsunagu-image.tar (OCI archive, no Docker)
	go run -C tools ./image -root .. -version '$(VERSION)' -out ../dist/tsunagu-image.tar

.PHONY: generate
generate: ## regenerate deep copies, CRDs, eBPF objects and tables in docs/
	go generate ./...

# eBPF objects are those of Debian's clang; others make other bytes.
.PHONY: check-generated
check-generated: ## what is checked in is what make generate makes
	@before=$$(git diff | sha256sum); $(MAKE) --no-print-directory generate; \
	test "$$before" = "$$(git diff | sha256sum)" || { git diff --stat; echo "generated files were out of date: commit them"; exit 1; }

# ------------------------------------------------------------------------ demo

.PHONY: demo
demo: deps build image ## a three-node lab with tsunagu, Pods on several networks, the proof
	@$(SUDO) bin/tsunagu lab up --name $(LAB) --nodes $(NODES) --image dist/tsunagu-image.tar
	@$(SUDO) go run -C lab ./cmd/tsunagu-demo -root .. -name $(LAB)

.PHONY: demo-down
demo-down: ## remove the demo's lab and everything it made
	@if test -x bin/tsunagu-lab; then $(SUDO) bin/tsunagu-lab down --name $(LAB); \
	else $(SUDO) go run -C lab ./cmd/tsunagu-lab down --name $(LAB); fi

# ----------------------------------------------------------------------- tests

.PHONY: test
test: deps lint check-generated test-root test-fuzz test-tools test-vm test-lab ## every test: pure, namespaces, virtual machine, lab

# How many schedules the simulation of addresses runs.
TSUNAGU_SEEDS ?= 1000

.PHONY: test-root
test-root: ## pure and namespace tests of the product
	$(SUDO) env TSUNAGU_SEEDS=$(TSUNAGU_SEEDS) go test -count=1 ./...

.PHONY: test-race
test-race: ## the same under the race detector
	$(SUDO) go test -count=1 -race ./...

# How long each fuzzer makes up input.
FUZZTIME ?= 60s
FUZZ = go test -run '^$$' -fuzztime $(FUZZTIME)

.PHONY: test-fuzz
test-fuzz: ## the parsers of a Pod's annotation, of definitions and of what runtimes send, on made-up input
	$(SUDO) $(FUZZ) -fuzz '^FuzzParseSelections$$' ./attach
	$(SUDO) $(FUZZ) -fuzz '^FuzzParseDefinition$$' ./attach
	$(SUDO) $(FUZZ) -fuzz '^FuzzReadRequest$$' ./attach
	$(SUDO) $(FUZZ) -fuzztime 10s -fuzz '^FuzzConfig$$' ./attach/shimrpc
	$(SUDO) $(FUZZ) -fuzztime 10s -fuzz '^FuzzRead$$' ./vip/vrrp
	$(SUDO) $(FUZZ) -fuzztime 10s -fuzz '^FuzzParsePeer$$' ./bgp

.PHONY: fuzz
fuzz: ## every fuzzer, one after the other (FUZZTIME=60s)
	@set -e; for f in $$(git grep -l '^func Fuzz' -- '*_test.go'); do \
	for n in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p' $$f); do \
	echo "$$n in $$(dirname $$f)"; $(SUDO) $(FUZZ) -fuzz "^$$n$$" ./$$(dirname $$f); done; done

.PHONY: test-tools
test-tools:
	cd tools && go test -count=1 ./...

# More arguments of the runner, e.g. VM='-v -run Trunk ./attach/kind'.
VM ?=

.PHONY: test-vm
test-vm: ## what this machine's kernel lacks: the tests behind the build tag vm, in a virtual machine
	go test ./attach/reference
	go run -C tools ./vm -root .. $(VM)

.PHONY: test-lab
test-lab: build image ## the lab's own tests and tsunagu in a real cluster
	$(SUDO) go test -C lab -count=1 -timeout 60m ./...

# How long make test-chaos breaks things.
CHAOS ?= 75s

.PHONY: test-chaos
test-chaos: build image ## everything that can fail fails, in a real cluster (CHAOS=10m)
	$(SUDO) env TSUNAGU_E2E_CHAOS=$(CHAOS) go test -C lab -count=1 -timeout 60m -run TestChaos -v ./e2e

.PHONY: lint
lint: ## vet, format and the pinned linters
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt: $$out"; exit 1; }
	go vet -tags vm ./...
	cd tools && go vet ./...
	cd lab && go vet ./...
	go tool -modfile=tools/go.mod staticcheck -tags vm ./...

.PHONY: bench
bench: deps build ## ratios against the reference plugins and plain routes; addresses of 50 nodes (TSUNAGU_BENCH_WHEREABOUTS=/path: beside it); the controller among 1000
	$(SUDO) go run -C lab ./cmd/tsunagu-bench -root ..
	$(SUDO) env TSUNAGU_KUBE_VIP=$(TSUNAGU_KUBE_VIP) go run ./cmd/tsunagu-vip-bench -program bin/tsunagu-vip

.PHONY: bench-ready
bench-ready: build image ## 100 Pods of one node in a lab until Ready, with four networks each and with none
	$(SUDO) bin/tsunagu lab up --name ready --nodes 2 --image dist/tsunagu-image.tar
	$(SUDO) go run -C lab ./cmd/tsunagu-bench -root .. -only ready -lab ready; code=$$?; $(SUDO) bin/tsunagu lab down --name ready; exit $$code

.PHONY: bench-vip
bench-vip: deps build ## the control plane's address beside keepalived: who is lost, for how long nobody answers (ROUNDS=20, TSUNAGU_KUBE_VIP=program)
	$(SUDO) env TSUNAGU_KUBE_VIP=$(TSUNAGU_KUBE_VIP) go run ./cmd/tsunagu-vip-bench -program bin/tsunagu-vip -rounds $(or $(ROUNDS),5)
	go run -C tools ./vm -root .. -timeout 10m -bench .

.PHONY: clean
clean: ## remove build products of this tree
	rm -rf bin dist
