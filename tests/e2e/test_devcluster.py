"""Real clusters: they mend, they are cut in one direction, and they leave nothing behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devcluster import cluster, images, net, node, processes, services, state
from devcluster.build import build_all

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="clusters need root")

WITHIN_S = 60.0
WEB = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "containers": [
            {"name": "web", "image": "quay.io/argosy-demo/web:1", "imagePullPolicy": "Always"},
        ],
        "terminationGracePeriodSeconds": 0,
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
# Two requests over one connection, the second when told to.
TALK = """
import http.client, ssl, sys
api = http.client.HTTPSConnection(sys.argv[1], 6443, timeout=2, context=ssl._create_unverified_context())
for line in sys.stdin:
    try:
        api.request("GET", "/readyz")
        print(api.getresponse().read().decode(), flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
"""


@pytest.fixture(scope="module")
def pair():
    both = (
        cluster.up("t-hub", node=False, controllers=False),
        cluster.up("t-lab", node=False, controllers=False),
    )
    yield both
    for each in both:
        each.down()


class Talk:
    """A client inside one cluster that holds one connection to another's API server."""

    def __init__(self, source, target):
        pid = str(processes.supervisor(source.record.folder))
        argv = ["nsenter", "-t", pid, "-n", sys.executable, "-c", TALK, target.record.address]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.process:
            self.process.stdin.close()


def kubectl(target, *args, **given):
    binary = build_all(["kubernetes"])["kubernetes"] / "kubectl"
    command = [str(binary), f"--kubeconfig={target.kubeconfig}", *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, **given).stdout


def eventually(check):
    deadline = time.monotonic() + WITHIN_S
    while not (found := check()):
        assert time.monotonic() < deadline, "not within a minute"
        time.sleep(0.2)
    return found


def traces(name):
    """List what the machine shows of a cluster, by every way we know."""
    folder = str(state.state_dir() / name)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    cgroups = [path / f"argosy-{name}" for path in node.cgroup_hierarchies()]
    return [
        *(argv for _, argv in processes.processes() if any(folder in word for word in argv)),
        *(line for line in mounts if folder in line),
        *(path for path in [*cgroups, Path(folder)] if path.exists()),
    ]


def network_namespaces(below=1):
    """Return the network namespaces of all processes that descend from one."""
    found = set()
    for pid, _ in processes.processes():
        ancestor = pid
        while ancestor not in (below, 0, None):
            ancestor = processes.parent_of(ancestor)
        if ancestor == below:
            with contextlib.suppress(OSError):  # it ended while we looked
                found.add(Path(f"/proc/{pid}/ns/net").readlink())
    return found


def test_an_established_connection_is_cut_in_one_direction_and_heals(pair):
    hub, lab = pair
    with Talk(hub, lab) as to_lab, Talk(lab, hub) as to_hub:
        assert to_lab.ask() == to_hub.ask() == "ok"
        cluster.cut("t-hub", "t-lab")
        cluster.cut("t-hub", "t-lab")
        assert to_lab.ask() == "TimeoutError"
        assert to_hub.ask() == "ok"
        with Talk(hub, lab) as anew:
            assert anew.ask() == "TimeoutError"
        cluster.heal("t-hub", "t-lab")
        cluster.heal("t-hub", "t-lab")
        with Talk(hub, lab) as anew:
            assert anew.ask() == "ok"


def test_a_cut_outlives_the_death_of_the_cluster_that_is_protected(pair):
    hub, lab = pair
    cluster.cut("t-hub", "t-lab")
    lab.kill("supervisor")
    lab = cluster.up("t-lab", node=False, controllers=False)
    with Talk(hub, lab) as to_lab, Talk(lab, hub) as to_hub:
        assert to_lab.ask() == "TimeoutError"
        assert to_hub.ask() == "ok"
    cluster.heal("t-hub", "t-lab")


@pytest.mark.parametrize("victim", ["etcd", "kube-apiserver", "supervisor"])
def test_a_killed_part_comes_back_with_the_data(pair, victim):
    hub = pair[0]
    kubectl(hub, "create", "namespace", f"before-{victim}")
    kubeconfig = hub.kubeconfig.read_bytes()
    hub.kill(victim)
    hub = cluster.up("t-hub", node=False, controllers=False)
    assert hub.get(f"/api/v1/namespaces/before-{victim}")["metadata"]["name"] == f"before-{victim}"
    assert hub.kubeconfig.read_bytes() == kubeconfig


def test_a_lost_interface_is_mended(pair):
    hub = pair[0]
    net.detach(hub.record)
    assert cluster.what_is_missing(hub)
    cluster.up("t-hub", node=False, controllers=False)


def test_a_frozen_part_is_seen_and_goes_on_with_up(pair):
    hub = pair[0]
    hub.kill("kube-apiserver", signal.SIGSTOP)
    assert "API server" in cluster.describe(hub)["message"]
    cluster.up("t-hub", node=False, controllers=False)
    assert cluster.describe(hub)["ready"]


def test_a_node_runs_pods_survives_its_death_and_leaves_nothing():
    one = cluster.up("t-node")
    try:
        objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": [WEB, SERVICE]})
        kubectl(one, "apply", "-f", "-", input=objects)
        assert "It works" in fetched_by_name(one)
        one.kill("supervisor")
        one = cluster.up("t-node")
        restarts = "jsonpath={.status.containerStatuses[0].restartCount}"
        eventually(lambda: kubectl(one, "get", "pod/web", "-o", restarts) == "1")
        assert "It works" in fetched_by_name(one)
        assert traces("t-node")
        used = network_namespaces(processes.supervisor(one.record.folder))
        assert len(used) > 1, "the node's and the pod's"
    finally:
        one.down()
    assert traces("t-node") == []
    assert network_namespaces().isdisjoint(used)
    assert not net.exists(f"argosy{one.record.number + 100}")


def fetched_by_name(one):
    """Return what the pod gets from its own Service: DNS, kube-proxy and exec at work."""
    kubectl(one, "wait", "pod/web", "--for=condition=Ready", f"--timeout={WITHIN_S}s")
    fetch = "import urllib.request as u; print(u.urlopen('http://web.default.svc.cluster.local').read())"
    return kubectl(one, "exec", "web", "--", "python3", "-c", fetch)


def test_what_the_clusters_share_goes_with_the_last_of_them():
    cluster.up("t-last", node=False, controllers=False).down()
    with state.lock():
        left = bool(state.records())
        assert net.exists(net.BRIDGE) == left
        assert net.has_rule(*net.ALLOW_BRIDGED, pid=None) == (left and net.host_filters_bridges())
        assert left or traces(state.SERVICES) == []


def test_a_repository_is_pushed_to_and_cloned_over_http(pair, tmp_path):
    assert pair
    services.ensure(build_all(["registry"]))
    url = services.create_repository("t-repository")
    try:
        work = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@localhost"]
        net.call(*work, "init", "--quiet", "--initial-branch=main")
        # Over a megabyte git sends in chunks.
        (tmp_path / "big").write_bytes(os.urandom(2_000_000))
        net.call(*work, "add", "big")
        net.call(*work, "commit", "--quiet", "-m", "big")
        net.call(*work, "push", "--quiet", url, "main")
        net.call("git", "clone", "--quiet", url, str(tmp_path / "clone"))
        assert (tmp_path / "clone" / "big").read_bytes() == (tmp_path / "big").read_bytes()
    finally:
        services.remove_repository("t-repository")


@pytest.mark.parametrize("after_s", [0.3, 0.5])
def test_an_interrupted_down_is_repeated_or_undone_by_up(after_s):
    cluster.up("t-twice", node=False, controllers=False)
    command = [sys.executable, "-m", "devcluster", "down", "t-twice"]
    with subprocess.Popen(command, cwd=images.CHECKOUT) as ending:
        time.sleep(after_s)
        ending.kill()
    again = cluster.up("t-twice", node=False, controllers=False)
    assert cluster.describe(again)["ready"]
    again.down()
    assert traces("t-twice") == []
