package doctor

var flannelConfig = lineCheck("TSU7505", "flannel finds no network configuration",
	`flanneld reads the key PREFIX/config of etcd. With another prefix it waits for ever.`,
	Error, []string{"Couldn't fetch network config"},
	"no node gets a subnet, and Pods have no network",
	"etcdctl put /coreos.com/network/config, with the prefix that --etcd-prefix says; or use the overlay of tsunagu, which needs no etcd")
