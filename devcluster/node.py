"""The programs of a node and their configuration: containerd, kubelet, kube-proxy, CoreDNS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from devcluster.controlplane import kubeconfig, pki
from devcluster.net import call
from devcluster.processes import Program
from devcluster.services import REGISTRY
from devcluster.state import Record

# The supervisor's private /run.
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CNI_PLUGINS = "/usr/lib/cni"  # where Debian's containernetworking-plugins puts them
CGROUPS = Path("/sys/fs/cgroup")
PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"
# Pulls from these go to our registry, under the same name after the host's.
MIRRORED = ("docker.io", "ghcr.io", "public.ecr.aws", "quay.io", "registry.k8s.io")

# As in the kubelet's pkg/util/sysctl, with its defaults.
KUBELET_SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}


def prepare(record: Record, parts: dict[str, Path], pid: int) -> None:
    """Write the configuration files, make the cgroup of all pods, shield the machine's settings."""
    folder = record.folder / "node"
    folder.mkdir(exist_ok=True)
    write(folder / "containerd.toml", containerd_toml(folder, parts))
    for host in MIRRORED:
        mirror = f"{REGISTRY}/v2/{host}"
        # `server` names our registry too: what it lacks fails at once, as not found.
        hosts = f'server = "{mirror}"\n[host."{mirror}"]\noverride_path = true\n'
        write(folder / "certs.d" / host / "hosts.toml", hosts)
    plain = f'server = "{REGISTRY}"\n[host."{REGISTRY}"]\n'
    write(folder / "certs.d" / REGISTRY.removeprefix("http://") / "hosts.toml", plain)
    write(folder / "cni" / "10-ptp.conflist", json.dumps(cni(record)))
    write(folder / "kubelet.json", json.dumps(kubelet(record), indent=1))
    write(folder / "kube-proxy.json", json.dumps(kube_proxy(record), indent=1))
    write(folder / "Corefile", corefile(record))
    # No search domain or server of the host's: a pod resolves the cluster's names only.
    write(folder / "resolv.conf", "")
    make_cgroups(record)
    shield_sysctls(folder / "sysctl", pid)


def shield_sysctls(folder: Path, pid: int) -> None:
    """Show the kubelet, in the mount namespace of process ``pid``, the kernel settings that it wants.

    It would set them otherwise, for the whole machine and for good: a reboot after any kernel oops.
    """
    mounted = Path(f"/proc/{pid}/mountinfo").read_text()
    for name, value in KUBELET_SYSCTLS.items():
        target = f"/proc/sys/{name}"
        if f" {target} " not in mounted:
            write(folder / name, f"{value}\n")
            call("nsenter", "-t", str(pid), "-m", "mount", "--bind", str(folder / name), target)


def programs(record: Record, parts: dict[str, Path]) -> dict[str, Program]:
    """Return the node's programs by name."""
    folder, kubernetes = record.folder / "node", parts["kubernetes"]
    ready = f"https://{record.address}:6443/readyz"
    path = f"{parts['containerd']}:{parts['runc']}:/usr/sbin:/usr/bin:/sbin:/bin"
    kubelet_flags = [f"--config={folder}/kubelet.json", f"--kubeconfig={kubeconfig(record, 'kubelet')}"]
    kubelet_flags += [f"--root-dir={folder}/kubelet", f"--node-ip={record.address}"]
    hostname = f"--hostname-override={record.name}"
    commands = {
        "containerd": [str(parts["containerd"] / "containerd"), f"--config={folder}/containerd.toml"],
        "kubelet": [str(kubernetes / "kubelet"), *kubelet_flags, hostname],
        "kube-proxy": [str(kubernetes / "kube-proxy"), f"--config={folder}/kube-proxy.json", hostname],
        "coredns": [str(parts["coredns"] / "coredns"), f"-conf={folder}/Corefile"],
    }
    after = {"kubelet": CONTAINERD_SOCKET, "kube-proxy": ready, "coredns": ready}
    return {
        name: Program(argv=argv, env={"PATH": path}, after=after.get(name, ""))
        for name, argv in commands.items()
    }


def containerd_toml(folder: Path, parts: dict[str, Path]) -> str:
    """Return containerd's configuration."""
    return f"""version = 3
root = "{folder}/containerd"
state = "/run/containerd"
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = "{folder}/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
# Without CAP_SYS_RESOURCE, as inside many containers, every sandbox would die.
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{folder}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{parts["runc"]}/runc"
SystemdCgroup = false
"""


def cni(record: Record) -> dict[str, Any]:
    """Return the pod network: a routed veth for each pod.

    Unlike on a bridge, packets between two pods of the node pass the node's iptables, so Services
    work without the br_netfilter module.
    """
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": record.pod_cidr}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/run/cni",
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "argosy", "plugins": [{"type": "ptp", "ipam": addresses}, ports]}


def kubelet(record: Record) -> dict[str, Any]:
    """Return the kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": record.address,
        "healthzBindAddress": record.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki(record)}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        # Two kubelets on one machine would otherwise clean away each other's pods.
        "cgroupRoot": cgroup(record),
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [record.address],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{record.folder}/node/resolv.conf",
        "podLogsDir": f"{record.folder}/node/pod-logs",
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "maxPods": 200,
        # The disk is the developer's: neither its filling nor our cache may evict pods.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi"},
    }


def kube_proxy(record: Record) -> dict[str, Any]:
    """Return kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig(record, "kube-proxy"))},
        "mode": "iptables",
        "clusterCIDR": record.pod_cidr,
        "healthzBindAddress": f"{record.address}:10256",
        "oomScoreAdj": 0,
        # Zero leaves the machine's own limits alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def corefile(record: Record) -> str:
    """Return CoreDNS's configuration: the cluster's names, and nothing beyond."""
    return f"""cluster.local:53 in-addr.arpa:53 {{
    bind {record.address}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig(record, "coredns")}
        pods insecure
    }}
    cache 5
    ready {record.address}:8181
}}
.:53 {{
    bind {record.address}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def cgroup(record: Record) -> str:
    """Return the cgroup of a cluster's pods, the same in every hierarchy."""
    return f"/argosy-{record.name}"


def cgroup_hierarchies() -> list[Path]:
    """List the machine's cgroup hierarchies: one on version 2, one for each controller on version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def make_cgroups(record: Record) -> None:
    """Make the cgroup of a cluster's pods in every hierarchy; the kubelet wants to find it there."""
    if (CGROUPS / "cgroup.controllers").exists():  # version 2 gives a child what its parent passes on
        controllers = (CGROUPS / "cgroup.controllers").read_text().split()
        (CGROUPS / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
    for hierarchy in cgroup_hierarchies():
        (hierarchy / cgroup(record).strip("/")).mkdir(exist_ok=True)


def remove_cgroups(record: Record) -> None:
    """Remove the cgroups of a cluster that has no process any more."""
    for hierarchy in cgroup_hierarchies():
        top = hierarchy / cgroup(record).strip("/")
        # A cgroup goes by rmdir once its children are gone; the files in it are the kernel's.
        for path in sorted([top, *top.rglob("*/")], reverse=True) if top.exists() else []:
            path.rmdir()


def write(path: Path, text: str) -> None:
    """Write a configuration file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
