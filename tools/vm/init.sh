#!/bin/sh
# The first process of the virtual machine: this machine's files, read-only
# over 9p, under a tmpfs that takes what is written; then the job.
b=/bin/busybox
die() { echo "vm-init: $*" >/dev/ttyS1; $b sleep 1; $b poweroff -f; }

$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
while read -r m; do $b insmod /mod/$m.ko || die "insmod $m"; done </mod/order

$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576,cache=loose,ro host /host || die "mount 9p"
$b mount -t tmpfs -o size=1g tmpfs /over
$b mkdir /over/upper /over/work
$b mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work overlay /root || die "mount overlay"

for d in proc sys dev; do $b mount -o move /$d /root/$d; done
cd /root
$b mount -t tmpfs tmpfs run
$b mkdir -p dev/pts dev/shm run/netns run/lock
$b ln -s /proc/self/fd dev/fd
for n in 0:stdin 1:stdout 2:stderr; do $b ln -s /proc/self/fd/${n%:*} dev/${n#*:}; done
$b mount -t devpts devpts dev/pts
$b mount -t tmpfs tmpfs dev/shm
$b mount -t bpf bpf sys/fs/bpf
$b mount -t cgroup2 cgroup2 sys/fs/cgroup
for w in $($b cat proc/cmdline); do
  case $w in vm.dir=*) dir=${w#vm.dir=} ;; vm.modules=*) modules=${w#vm.modules=} ;; esac
done
# Where modprobe and the kernel itself look for modules.
$b mkdir -p lib/modules
$b ln -s "$modules" "lib/modules/$($b uname -r)"
exec $b switch_root /root /bin/sh "$dir/job" >dev/ttyS1 2>&1 <dev/null
