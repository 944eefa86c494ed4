"""Clusters as a whole: up, down, status, cut, heal, faults. The Python face for tests.

>>> hub = up("hub", node=False)
>>> hub.kubeconfig, hub.server
>>> hub.down()
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import ssl
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devcluster import controlplane, debian, images, net, node, processes, services, state
from devcluster.build import build_all, say
from devcluster.state import Record

CONTROL_PLANE_PARTS = ("kubernetes", "etcd")
NODE_PARTS = (*CONTROL_PLANE_PARTS, "containerd", "runc", "coredns", "registry")
# Port and path where each answers once it works.
NODE_HEALTH = {"kubelet": "10248/healthz", "kube-proxy": "10256/healthz", "coredns": "8181/ready"}
READY_WITHIN_S = 180.0


class NotReadyError(RuntimeError):
    """A cluster did not become ready in time; the message says what it waits for, and where to look."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running cluster."""

    record: Record

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return controlplane.kubeconfig(self.record)

    @property
    def server(self) -> str:
        """The API server's URL, reachable from the host and from every cluster."""
        return f"https://{self.record.address}:6443"

    def get(self, path: str) -> Any:
        """Get a path of the API server as administrator; JSON is decoded, OSError if it does not answer."""
        folder = controlplane.pki(self.record)
        context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        with urllib.request.urlopen(self.server + path, timeout=3, context=context) as answer:  # noqa: S310
            body = answer.read()
        return json.loads(body) if body[:1] == b"{" else body.decode()

    def kill(self, program: str, sent: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one program, or to the whole cluster by its ``supervisor``."""
        running = {"supervisor": processes.supervisor(self.record.folder)} | self.programs()
        pid = running.get(program)
        if not pid:
            raise LookupError(f"{program} does not run in {self.record.name}; running: {', '.join(running)}")
        os.kill(pid, sent)

    def programs(self) -> dict[str, int]:
        """Return name and process id of the programs that run."""
        return processes.programs_running(self.record.folder)

    def down(self) -> None:
        """End the cluster and forget it."""
        down(self.record.name)


def up(name: str, *, node: bool = True, controllers: bool = True, argocd: Sequence[str] = ()) -> Cluster:
    """Start a cluster, or mend it, and return when it is ready.

    Without a node it is etcd and the API server only, and the controller manager if ``controllers``.
    A cluster that is there keeps its data, and what it has beyond what is asked. With a node the
    registry serves the images of the versions ``argocd``, of the newest one if none is named.
    """
    debian.ensure()
    with state.lock():
        record = state.claim(name, node=node, controllers=controllers)
    parts = build_all([*NODE_PARTS, *images.parts_for(argocd)] if record.node else CONTROL_PLANE_PARTS)
    with state.lock():
        # Again: a `down` may have come while we built.
        record = state.claim(name, node=node, controllers=controllers)
        start(record, parts)
    if record.node:
        images.serve_common()
        images.serve_argocd(argocd)
    cluster = Cluster(record=record)
    wait_ready(cluster)
    return cluster


def start(record: Record, parts: dict[str, Path]) -> None:
    """Make everything of a cluster that is missing; the same steps mend a half-dead one."""
    net.ensure_bridge()
    controlplane.prepare(record)
    programs = controlplane.programs(record, parts)
    if record.node:
        services.ensure(parts)
        programs |= node.programs(record, parts)
    pid = processes.supervisor(record.folder)
    if not pid:
        if record.node:
            node.remove_cgroups(record)
        say(f"starting cluster {record.name} at {record.address}")
        pid = processes.launch(record.folder, network=True)
    if record.node:
        node.prepare(record, parts, pid)
    net.attach(record, pid)
    for source in record.cut_from:
        net.cut(state.load(source), pid)
    for stopped in (pid, *processes.programs_running(record.folder).values()):
        os.kill(stopped, signal.SIGCONT)
    processes.run(record.folder, programs)


def wait_ready(cluster: Cluster) -> None:
    """Wait until nothing is missing; NotReadyError says what is."""
    began = time.monotonic()
    told = ""
    while missing := what_is_missing(cluster):
        if time.monotonic() - began > READY_WITHIN_S:
            raise NotReadyError(f"{cluster.record.name}: {missing}; see {cluster.record.folder}/logs")
        if missing != told and time.monotonic() - began > 2:
            say(f"{cluster.record.name}: {missing}")
            told = missing
        time.sleep(0.1)
    say(f"{cluster.record.name} is ready ({time.monotonic() - began:.1f} s)")


def what_is_missing(cluster: Cluster) -> str:
    """Say the first thing that keeps a cluster from being ready; nothing if it is ready."""
    record = cluster.record
    if not processes.supervisor(record.folder):
        return f"the supervisor does not run, see {record.folder}/supervisor.log"
    try:
        cluster.get("/readyz")
        # The admission of ServiceAccounts and the like needs it; made a moment after /readyz.
        cluster.get("/api/v1/namespaces/default")
    except OSError as error:
        return f"waiting for the API server ({error})"
    if not record.node:
        return ""
    for program, where in NODE_HEALTH.items():
        try:
            urllib.request.urlopen(f"http://{record.address}:{where}", timeout=1).close()
        except OSError as error:
            return f"waiting for {program} ({error})"
    try:
        conditions = cluster.get(f"/api/v1/nodes/{record.name}")["status"]["conditions"]
        cluster.get("/api/v1/namespaces/default/serviceaccounts/default")
    except OSError as error:
        return f"waiting for the node to register ({error})"
    ready = next((each for each in conditions if each["type"] == "Ready"), {"status": "", "message": ""})
    return "" if ready["status"] == "True" else f"waiting for the node ({ready['message']})"


def find(name: str) -> Cluster:
    """Return a cluster by name; LookupError if there is none."""
    return Cluster(record=state.load(name))


def down(name: str) -> None:
    """End a cluster and remove all that it left; with the last one, what they share."""
    with state.lock():
        try:
            record = state.load(name)
        except LookupError:
            if not state.records():  # an earlier `down` may have been cut off just there
                end_shared()
            raise
        end(record)
        for other in state.records():
            # The address may be another cluster's tomorrow.
            if name in other.cut_from:
                remove_cut(record, other)
        if not state.records():
            end_shared()
    say(f"{name} is down")


def down_all() -> None:
    """End every cluster, and what they share."""
    for record in state.records():
        down(record.name)
    with state.lock():
        if not state.records():
            end_shared()


def end(record: Record) -> None:
    """End one cluster: processes first, for everything else hangs on them."""
    processes.end(record.folder)
    net.detach(record)
    node.remove_cgroups(record)
    # In one step: half a folder, with some keys gone, would be taken for a cluster to mend.
    trash = state.state_dir() / "_trash"
    trash.mkdir(exist_ok=True)
    record.folder.rename(trash / f"{record.name}-{time.time_ns()}")
    shutil.rmtree(trash)


def end_shared() -> None:
    """End what the clusters share."""
    services.end()
    net.remove_bridge()


def cut(source: str, target: str) -> None:
    """Drop everything that ``source`` begins towards ``target``; the other direction stays."""
    with state.lock():
        one, other = state.load(source), state.load(target)
        if one == other:
            raise ValueError("a cluster cannot be cut from itself")
        replace(other, cut_from=tuple(sorted({*other.cut_from, source}))).save()
        if pid := processes.supervisor(other.folder):
            net.cut(one, pid)


def heal(source: str, target: str) -> None:
    """Undo :func:`cut`."""
    with state.lock():
        remove_cut(state.load(source), state.load(target))


def remove_cut(source: Record, target: Record) -> None:
    """Forget a cut and take its rule away."""
    replace(target, cut_from=tuple(each for each in target.cut_from if each != source.name)).save()
    if pid := processes.supervisor(target.folder):
        net.heal(source, pid)


def status() -> list[dict[str, Any]]:
    """Describe every cluster."""
    return [describe(Cluster(record=record)) for record in state.records()]


def describe(cluster: Cluster) -> dict[str, Any]:
    """Describe one cluster: where it is, what runs, what it waits for."""
    record = cluster.record
    wanted: list[str] = []
    with contextlib.suppress(FileNotFoundError):
        wanted = list(json.loads((record.folder / "programs.json").read_text()))
    running = cluster.programs()
    missing = what_is_missing(cluster)
    return {
        "name": record.name,
        "server": cluster.server,
        "kubeconfig": str(cluster.kubeconfig),
        "node": record.node,
        "ready": not missing,
        "message": missing,
        "programs": {name: running.get(name) for name in wanted},
        "cutFrom": list(record.cut_from),
    }
