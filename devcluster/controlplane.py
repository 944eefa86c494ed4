"""The programs of a control plane, and the certificates and kubeconfigs that they share."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from devcluster import certs
from devcluster.processes import Program
from devcluster.state import Record

ETCD = "http://127.0.0.1:2379"
MASTERS = "system:masters"
# Certificate and kubeconfig of each program: file name, user, group.
CLIENTS = [
    ("admin", "argosy-devcluster-admin", MASTERS),
    ("kube-controller-manager", "system:kube-controller-manager", ""),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-proxy", "system:kube-proxy", ""),
    # It reads services, endpoints, pods and namespaces; as a program of the host it needs no role of its own.
    ("coredns", "coredns", MASTERS),
    ("apiserver-kubelet-client", "kube-apiserver", MASTERS),
    ("front-proxy", "front-proxy", ""),
]


def prepare(record: Record) -> None:
    """Make the certificates and kubeconfigs that are missing."""
    folder = pki(record)
    certs.authority(folder)
    certs.signing_key(folder / "service-accounts.key")
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", record.name)
    certs.issue(
        folder,
        "kube-apiserver",
        user="kube-apiserver",
        hosts=(
            *names,
            "kubernetes.default.svc.cluster.local",
            record.address,
            api_service(record),
            "127.0.0.1",
        ),
    )
    for name, user, group in [*CLIENTS, ("kubelet", f"system:node:{record.name}", "system:nodes")]:
        certs.issue(folder, name, user=user, group=group)
        write_kubeconfig(record, name)


def programs(record: Record, parts: dict[str, Path]) -> dict[str, Program]:
    """Return the control plane's programs by name."""
    kubernetes = parts["kubernetes"]
    chosen = {
        "etcd": Program(argv=etcd(record, parts["etcd"])),
        "kube-apiserver": Program(argv=apiserver(record, kubernetes), after=f"{ETCD}/health"),
    }
    ready = f"https://{record.address}:6443/readyz"
    if record.node or record.controllers:
        chosen["kube-controller-manager"] = Program(argv=controller_manager(record, kubernetes), after=ready)
    if record.node:
        scheduler = [str(kubernetes / "kube-scheduler"), *client(record, "kube-scheduler")]
        chosen["kube-scheduler"] = Program(argv=[*scheduler, "--leader-elect=false"], after=ready)
    return chosen


def etcd(record: Record, binaries: Path) -> list[str]:
    """Return etcd's command line: reachable from inside the cluster's network namespace only."""
    return [
        str(binaries / "etcd"),
        f"--data-dir={record.folder}/etcd",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        # Survives the death of any process; only the machine's own crash could lose writes.
        "--unsafe-no-fsync",
        f"--quota-backend-bytes={8 << 30}",
        "--log-level=warn",
    ]


def apiserver(record: Record, binaries: Path) -> list[str]:
    """Return the API server's command line."""
    folder = pki(record)
    return [
        str(binaries / "kube-apiserver"),
        f"--etcd-servers={ETCD}",
        f"--advertise-address={record.address}",
        f"--service-cluster-ip-range={record.service_prefix}.0.0/16",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={folder}/ca.crt",
        f"--tls-cert-file={folder}/kube-apiserver.crt",
        f"--tls-private-key-file={folder}/kube-apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={folder}/service-accounts.key",
        f"--service-account-signing-key-file={folder}/service-accounts.key",
        # The API server does not know the cluster's DNS, so it reaches its kubelet by address.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-client-certificate={folder}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={folder}/apiserver-kubelet-client.key",
        f"--proxy-client-cert-file={folder}/front-proxy.crt",
        f"--proxy-client-key-file={folder}/front-proxy.key",
        f"--requestheader-client-ca-file={folder}/ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
    ]


def controller_manager(record: Record, binaries: Path) -> list[str]:
    """Return the controller manager's command line."""
    folder = pki(record)
    return [
        str(binaries / "kube-controller-manager"),
        *client(record, "kube-controller-manager"),
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={folder}/service-accounts.key",
        f"--root-ca-file={folder}/ca.crt",
        f"--cluster-signing-cert-file={folder}/ca.crt",
        f"--cluster-signing-key-file={folder}/ca.key",
    ]


def client(record: Record, name: str) -> list[str]:
    """Return the flags by which a program reaches the API server and lets it call back."""
    path = kubeconfig(record, name)
    return [
        f"--{flag}={path}" for flag in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    ]


def write_kubeconfig(record: Record, name: str) -> None:
    """Write a kubeconfig with its certificate inside, so that it can be copied (JSON is YAML)."""
    folder = pki(record)

    def inline(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    server = {"server": f"https://{record.address}:6443", "certificate-authority-data": inline("ca.crt")}
    user = {"client-certificate-data": inline(f"{name}.crt"), "client-key-data": inline(f"{name}.key")}
    context = {"cluster": record.name, "user": name}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": record.name, "cluster": server}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": record.name, "context": context}],
        "current-context": record.name,
    }
    path = kubeconfig(record, name)
    if path.exists() and path.read_text() == json.dumps(config, indent=1):
        return
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))


def kubeconfig(record: Record, name: str = "admin") -> Path:
    """Return where the kubeconfig of a client is."""
    return record.folder / "kubeconfig" if name == "admin" else pki(record) / f"{name}.kubeconfig"


def pki(record: Record) -> Path:
    """Return where a cluster's keys and certificates are."""
    return record.folder / "pki"


def api_service(record: Record) -> str:
    """Return the address of the API server's Service, the first of the range."""
    return f"{record.service_prefix}.0.1"
