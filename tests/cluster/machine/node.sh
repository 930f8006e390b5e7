#!/usr/bin/env bash
# The first process of a node: makes its own view of this machine, then keeps containerd, kubelet and kube-proxy running.
# Called in new namespaces (cgroup, mount, pid, uts, ipc, net) by node.py.
set -euo pipefail
name=$1 home=$2 images=$3 programs=$4

mount --make-rprivate /
hostname "$name"
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
while IFS=: read -r _ controllers _; do
  [[ -n $controllers ]] || continue # version 2 of a hybrid set-up
  folder=/sys/fs/cgroup/${controllers#name=}
  mkdir "$folder"
  case $controllers in name=*) option=none,$controllers ;; *) option=$controllers ;; esac
  mount -t cgroup -o "$option" cgroup "$folder"
done </proc/self/cgroup

# The kubelet sets these for the whole machine; here it sets files.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=$home/sysctl-${setting//\//-}
  file=${file%=*}
  echo "${setting#*=}" >"$file"
  [[ ! -e /proc/sys/${setting%=*} ]] || mount --bind "$file" "/proc/sys/${setting%=*}"
done

# Pods' volumes are on a disk of the node's own, which can be filled.
mkdir -p /var/lib/kubelet /var/lib/containerd /var/lib/cni /etc/cni
mount -o loop "$home/disk" /var/lib/kubelet
mount --bind "$images" /var/lib/containerd
mount --bind "$home/log" /var/log
mount --bind "$home/cni" /etc/cni
mount -t tmpfs tmpfs /var/lib/cni
mount -t tmpfs -o mode=755 tmpfs /run
mount --make-rshared /

read -r _ # a line comes when the cable is there
exec </dev/null
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables

# A program that ends is started again, unless there is a file `hold-<program>`: then when its fifo is written to.
keep() {
  local program=$1
  shift
  while true; do
    [[ ! -e $home/hold-$program ]] || read -r _ <"$home/fifo-$program"
    "$@" >>"/var/log/$program.log" 2>&1 || true
    sleep 0.5 # one that can't start must not eat the machine
  done
}
mkfifo "$home"/fifo-{containerd,kubelet,kube-proxy}
keep containerd containerd --config "$home/containerd.toml" &
until ctr version >/dev/null 2>&1; do sleep 0.1; done
keep kubelet "$programs/kubelet" --config="$home/kubelet.yaml" --kubeconfig="$home/kubeconfig" \
  --hostname-override="$name" --node-ip="$(<"$home/address")" &
keep kube-proxy "$programs/kube-proxy" --config="$home/kube-proxy.yaml" --hostname-override="$name" &
wait
