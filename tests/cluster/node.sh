# The node of a cluster: a network namespace of its own, with containerd, kubelet, scheduler and proxy. Sourced by `cluster`.
# shellcheck shell=bash disable=SC2154
node_address=10.9.0.1

network_up() { # everything enters by nsenter: `ip netns exec` mounts a new /sys and so hides the cgroups
  local namespace=holdfast-$$
  ip netns add "$namespace"; echo "$namespace" > "$dir/netns"
  enter=(nsenter "--net=/run/netns/$namespace")
  "${enter[@]}" ip link set lo up
  "${enter[@]}" ip link add node0 type bridge
  "${enter[@]}" ip addr add "$node_address/24" dev node0
  "${enter[@]}" ip link set node0 up
  "${enter[@]}" ip route add default dev node0
}

network_down() {
  local pod
  awk -v d="$dir/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do umount -l "$mount" || true; done
  ip netns del "$(cat "$dir/netns")" || true
  if [ -d /var/log/containers ]; then find /var/log/containers -lname "$dir/*" -delete; fi
  for pod in $(ip netns list | awk '/^cni-/ { print $1 }'); do
    [ -n "$(ip netns pids "$pod")" ] || ip netns del "$pod" || true
  done
}

node_join() {
  node_files
  start containerd containerd -c "$dir/containerd.toml"
  start kube-scheduler "$dir/bin/kube-scheduler" --kubeconfig="$dir/kubeconfig" --leader-elect=false --secure-port=0
  start kube-proxy "$dir/bin/kube-proxy" --config="$dir/proxy.yaml" --hostname-override=node1
  wait_until containerd ctr -a "$dir/containerd.sock" version
  sandbox_image
  start kubelet "$dir/bin/kubelet" --config="$dir/kubelet.yaml" --kubeconfig="$dir/kubeconfig" --root-dir="$dir/kubelet" \
    --cert-dir="$dir/kubelet-certs" --hostname-override=node1 --node-ip="$node_address"
  wait_until kubelet kubectl wait --for=condition=Ready node/node1 --timeout=1s
}

node_leave() { # with the kubelet gone nothing restarts what is stopped here
  local runtime=(ctr -a "$dir/containerd.sock" -n k8s.io task) task shim
  for task in $("${runtime[@]}" ls -q 2>/dev/null); do
    "${runtime[@]}" kill -s KILL "$task" || true
    "${runtime[@]}" delete "$task" || true
  done >/dev/null 2>&1
  for shim in /proc/[0-9]*; do
    if { tr '\0' ' ' < "$shim/cmdline"; } 2>/dev/null | grep -q -- "containerd-shim.* -address $dir/containerd.sock"; then
      kill -9 "${shim#/proc/}" 2>/dev/null || true
    fi
  done
}

# A static program that waits holds the pod's namespaces; no image can be pulled, so it is made here.
sandbox_image() {
  printf '%s\n' '#include <signal.h>' '#include <unistd.h>' 'static void end(int s) { (void)s; _exit(0); }' \
    'int main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }' > "$dir/pause.c"
  mkdir -p "$dir/pause"
  cc -static -O2 -o "$dir/pause/pause" "$dir/pause.c"
  "$here/image" localhost/pause:1 "$dir/pause" /pause "$dir/pause.tar"
  ctr -a "$dir/containerd.sock" -n k8s.io image import "$dir/pause.tar" >/dev/null
}

node_files() {
  mkdir -p "$dir/cni"
  echo 'nameserver 127.0.0.1' > "$dir/resolv.conf"
  cat > "$dir/cni/10-bridge.conflist" <<J
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$dir/cni-addresses", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
J
  # restrict_oom_score_adj: inside a sandbox the score may not be lowered, and without it no container starts.
  cat > "$dir/containerd.toml" <<T
version = 2
root = "$dir/containerd-root"
state = "$dir/containerd-state"
[grpc]
  address = "$dir/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
T
  cat > "$dir/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
containerRuntimeEndpoint: unix://$dir/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $dir/ca.crt}}
authorization: {mode: Webhook}
clusterDomain: cluster.local
resolvConf: $dir/resolv.conf
podLogsDir: $dir/pods
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
Y
  cat > "$dir/proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $dir/kubeconfig}
mode: iptables
clusterCIDR: 10.244.0.0/24
conntrack: {maxPerCore: 0, min: 0}
Y
}
