//go:build ignore

// The switch of one node for VLANs of its trunks, and the guard in front of
// it. doc.go says what it is for, switch.go fills the maps.
//
// Two programs: from_trunk sees what comes in by a trunk, from_pod what a Pod
// sends. At both hooks the kernel has taken an outer tag off the frame already
// and put it beside it (skb_vlan_untag in __netif_receive_skb_core), so to tag
// and to untag is to set a number, not to move bytes.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Verdicts that mean the same to tcx and to cls_bpf.
#define NEXT (-1)
#define DROP 2

// Why a frame was dropped; reason.go has the words.
enum reason {
	UNKNOWN_PORT = 1,
	MALFORMED,
	TAGGED,
	FOREIGN_MAC,
	FOREIGN_IP,
	FOREIGN_ARP,
	FOREIGN_NEIGHBOUR,
	ROUTER_ADVERTISEMENT,
	OWN_MAC_OUTSIDE,
	DOUBLE_TAGGED,
	NOT_SENT,
};

// What a port is held to.
#define CHECK_MAC 1 // it sends from its own hardware address only
#define CHECK_IP 2  // and from its own addresses only
#define BRIDGED 4   // what passes goes on to a bridge, not through the switch

struct port {
	__u32 trunk; // interface index
	__u16 vlan;
	__u8 mac[ETH_ALEN];
	__u32 flags;
};

struct vlan_key {
	__u32 trunk, vlan;
};

struct fdb_key {
	__u32 trunk;
	__u16 vlan;
	__u8 mac[ETH_ALEN];
};

struct member_key {
	__u32 trunk;
	__u32 vlan;
	__u32 slot;
};

struct address_key {
	__u32 port;
	__u8 ip[16]; // IPv4 in its mapped form
};

struct drop_key {
	__u32 port; // 0 for frames that came in by the trunk
	__u32 trunk;
	__u16 vlan;
	__u16 reason;
};

#define MAP(name, k, v, n)                            \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_HASH);      \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__uint(max_entries, n);               \
		__type(key, k);                       \
		__type(value, v);                     \
	} name SEC(".maps")

MAP(tsu_port, __u32, struct port, 8192);              // by interface index
MAP(tsu_fdb, struct fdb_key, __u32, 8192);            // the port that has a MAC
MAP(tsu_vlan, struct vlan_key, __u32, 8192);          // how many ports a VLAN has
MAP(tsu_member, struct member_key, __u32, 8192);      // each of them
MAP(tsu_address, struct address_key, __u8, 65536);    // what a port may send from
MAP(tsu_trunk, __u32, __u32, 256);                    // trunks, and what was changed of them
MAP(tsu_drop, struct drop_key, __u64, 65536);         // how many frames were dropped

static __always_inline int drop(__u32 port, __u32 trunk, __u16 vlan, enum reason why)
{
	struct drop_key k = {.port = port, .trunk = trunk, .vlan = vlan, .reason = why};
	__u64 one = 1, *n = bpf_map_lookup_elem(&tsu_drop, &k);
	if (n)
		__sync_fetch_and_add(n, 1);
	else if (bpf_map_update_elem(&tsu_drop, &k, &one, BPF_NOEXIST) != 0) {
		n = bpf_map_lookup_elem(&tsu_drop, &k); // another CPU was first
		if (n)
			__sync_fetch_and_add(n, 1);
	}
	return DROP;
}

static __always_inline int is_tag(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD) || protocol == bpf_htons(ETH_P_QINQ1);
}

static __always_inline int same_mac(const __u8 *a, const __u8 *b)
{
	return *(__u16 *)a == *(__u16 *)b && *(__u16 *)(a + 2) == *(__u16 *)(b + 2) && *(__u16 *)(a + 4) == *(__u16 *)(b + 4);
}

static __always_inline void copy_mac(__u8 *to, const __u8 *from)
{
	*(__u16 *)to = *(__u16 *)from;
	*(__u16 *)(to + 2) = *(__u16 *)(from + 2);
	*(__u16 *)(to + 4) = *(__u16 *)(from + 4);
}

struct flooding {
	struct __sk_buff *skb;
	struct member_key key;
	__u32 except;
};

static long flood_one(__u32 slot, struct flooding *f)
{
	f->key.slot = slot;
	__u32 *port = bpf_map_lookup_elem(&tsu_member, &f->key);
	if (port && *port != f->except)
		bpf_clone_redirect(f->skb, *port, 0);
	return 0;
}

// flood gives a copy to every port of a VLAN but one.
static __always_inline void flood(struct __sk_buff *skb, __u32 trunk, __u16 vlan, __u32 except)
{
	struct vlan_key k = {.trunk = trunk, .vlan = vlan};
	__u32 *members = bpf_map_lookup_elem(&tsu_vlan, &k);
	struct flooding f = {.skb = skb, .key = {.trunk = trunk, .vlan = vlan}, .except = except};
	if (members)
		bpf_loop(*members, flood_one, &f, 0);
}

static __always_inline int owns(__u32 port, const __u8 ip[16])
{
	struct address_key k = {.port = port};
	__builtin_memcpy(k.ip, ip, 16);
	return bpf_map_lookup_elem(&tsu_address, &k) != 0;
}

static __always_inline int owns4(__u32 port, __be32 ip)
{
	struct address_key k = {.port = port, .ip = {[10] = 0xff, [11] = 0xff}};
	__builtin_memcpy(k.ip + 12, &ip, 4);
	return bpf_map_lookup_elem(&tsu_address, &k) != 0;
}

static __always_inline int link_local(const __u8 *ip) { return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80; }

// owns6 also allows what a port uses before it has an address.
static __always_inline int owns6(__u32 port, const __u8 *ip)
{
	return link_local(ip) || owns(port, ip);
}

// RFC 826. A probe (RFC 5227) has no sender address.
static __always_inline int check_arp(struct __sk_buff *skb, const struct port *p, __u32 port)
{
	struct {
		__be16 hardware, protocol;
		__u8 lengths[2];
		__be16 operation;
		__u8 sender[ETH_ALEN];
		__u8 ip[4];
	} __attribute__((packed)) arp;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &arp, sizeof(arp)) < 0)
		return MALFORMED;
	if (arp.hardware != bpf_htons(1) || arp.protocol != bpf_htons(ETH_P_IP) || arp.lengths[0] != ETH_ALEN || arp.lengths[1] != 4)
		return MALFORMED;
	for (int i = 0; i < ETH_ALEN; i++)
		if (arp.sender[i] != p->mac[i])
			return FOREIGN_ARP;
	__be32 ip;
	__builtin_memcpy(&ip, arp.ip, 4);
	return ip == 0 || owns4(port, ip) ? 0 : FOREIGN_ARP;
}

static __always_inline int check_ipv4(struct __sk_buff *skb, __u32 port)
{
	__be32 from;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + 12, &from, sizeof(from)) < 0)
		return MALFORMED;
	return from == 0 || owns4(port, from) ? 0 : FOREIGN_IP; // 0.0.0.0: DHCP, IGMP
}

// check_icmp6 keeps a port from speaking for others (RFC 4861 section 4).
static __always_inline int check_icmp6(struct __sk_buff *skb, __u32 port, __u32 at)
{
	__u8 type, target[16];
	if (bpf_skb_load_bytes(skb, at, &type, 1) < 0)
		return MALFORMED;
	if (type == 134)
		return ROUTER_ADVERTISEMENT;
	if (type != 136)
		return 0;
	if (bpf_skb_load_bytes(skb, at + 8, target, sizeof(target)) < 0)
		return MALFORMED;
	return owns6(port, target) ? 0 : FOREIGN_NEIGHBOUR;
}

static __always_inline int check_ipv6(struct __sk_buff *skb, __u32 port)
{
	__u8 head[40];
	if (bpf_skb_load_bytes(skb, ETH_HLEN, head, sizeof(head)) < 0)
		return MALFORMED;
	const __u64 *from = (const __u64 *)(head + 8);
	if ((from[0] | from[1]) != 0 && !owns6(port, head + 8))
		return FOREIGN_IP;
	__u8 next = head[6], option[2];
	__u32 at = ETH_HLEN + sizeof(head);
#pragma unroll
	for (int i = 0; i < 4; i++) {
		if (next == 58)
			return check_icmp6(skb, port, at);
		if (next != 0 && next != 43 && next != 60) // options, routing
			return 0;
		if (bpf_skb_load_bytes(skb, at, option, sizeof(option)) < 0)
			return MALFORMED;
		next = option[0];
		at += (option[1] + 1) * 8;
	}
	return MALFORMED;
}

static __always_inline int check_ip(struct __sk_buff *skb, const struct port *p, __u32 port, __be16 protocol)
{
	if (protocol == bpf_htons(ETH_P_IP))
		return check_ipv4(skb, port);
	if (protocol == bpf_htons(ETH_P_ARP))
		return check_arp(skb, p, port);
	if (protocol == bpf_htons(ETH_P_IPV6))
		return check_ipv6(skb, port);
	return 0;
}

SEC("tc")
int tsu_from_pod(struct __sk_buff *skb)
{
	__u32 port = skb->ifindex;
	const struct port *p = bpf_map_lookup_elem(&tsu_port, &port);
	if (!p)
		return drop(port, 0, 0, UNKNOWN_PORT);
	if (skb->vlan_present)
		return drop(port, p->trunk, p->vlan, TAGGED);
	struct ethhdr *eth = (void *)(long)skb->data;
	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return drop(port, p->trunk, p->vlan, MALFORMED);
	__be16 protocol = eth->h_proto;
	if (is_tag(protocol))
		return drop(port, p->trunk, p->vlan, TAGGED);
	if ((p->flags & CHECK_MAC) && !same_mac(eth->h_source, p->mac))
		return drop(port, p->trunk, p->vlan, FOREIGN_MAC);
	struct fdb_key to = {.trunk = p->trunk, .vlan = p->vlan};
	copy_mac(to.mac, eth->h_dest);
	if (p->flags & CHECK_IP) {
		int why = check_ip(skb, p, port, protocol);
		if (why)
			return drop(port, p->trunk, p->vlan, why);
	}
	if (p->flags & BRIDGED)
		return NEXT;
	if (to.mac[0] & 1) {
		flood(skb, p->trunk, p->vlan, port);
	} else {
		__u32 *other = bpf_map_lookup_elem(&tsu_fdb, &to);
		if (other)
			return bpf_redirect_peer(*other, 0);
	}
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), to.vlan) < 0)
		return drop(port, to.trunk, to.vlan, NOT_SENT);
	return bpf_redirect(to.trunk, 0);
}

// What is not for one of our Pods goes on to the node, as it came.
SEC("tc")
int tsu_from_trunk(struct __sk_buff *skb)
{
	if (!skb->vlan_present || skb->vlan_proto != bpf_htons(ETH_P_8021Q))
		return NEXT;
	__u32 tci = skb->vlan_tci;
	struct vlan_key v = {.trunk = skb->ifindex, .vlan = tci & 0xfff};
	if (!bpf_map_lookup_elem(&tsu_vlan, &v))
		return NEXT;
	struct ethhdr *eth = (void *)(long)skb->data;
	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return NEXT;
	struct fdb_key from = {.trunk = v.trunk, .vlan = v.vlan}, to = from;
	copy_mac(from.mac, eth->h_source);
	copy_mac(to.mac, eth->h_dest);
	int inner = is_tag(eth->h_proto);
	if (bpf_map_lookup_elem(&tsu_fdb, &from))
		return drop(0, v.trunk, v.vlan, OWN_MAC_OUTSIDE);
	if (to.mac[0] & 1) {
		if (inner) {
			drop(0, v.trunk, v.vlan, DOUBLE_TAGGED);
			return NEXT;
		}
		if (bpf_skb_vlan_pop(skb) < 0)
			return NEXT;
		flood(skb, v.trunk, v.vlan, 0);
		bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), tci);
		return NEXT;
	}
	__u32 *port = bpf_map_lookup_elem(&tsu_fdb, &to);
	if (!port)
		return NEXT;
	if (inner)
		return drop(0, v.trunk, v.vlan, DOUBLE_TAGGED);
	if (bpf_skb_vlan_pop(skb) < 0)
		return drop(0, v.trunk, v.vlan, NOT_SENT);
	return bpf_redirect_peer(*port, 0);
}

char _license[] SEC("license") = "Apache-2.0";
