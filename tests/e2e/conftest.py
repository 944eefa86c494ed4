"""One real cluster with Argosy beside it, shared by the stories."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from argosy.api.crd import crds
from argosy.api.meta import API_VERSION
from argosy.releases import importer, sources
from devcluster import cluster as devcluster
from devcluster import images, services
from devcluster.build import build_all

NAMESPACE = "fleet"
HEALTHY_S = 300.0
VERSION = "3.6.1"


class Stage:
    """A cluster as a person sees it: through kubectl."""

    def __init__(self, cluster: devcluster.Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.kubectl_binary = build_all(["kubernetes"])["kubernetes"] / "kubectl"
        self.workers: list[subprocess.Popen[bytes]] = []

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        done = subprocess.run(
            [self.kubectl_binary, f"--kubeconfig={self.cluster.kubeconfig}", *args],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, *objects: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any] | None:
        text = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def list(self, kind: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        return json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json"))["items"]

    def patch(self, kind: str, name: str, patch: Any, namespace: str = NAMESPACE) -> None:
        kind_of_patch = "json" if isinstance(patch, list) else "merge"
        self.kubectl("patch", kind, name, "-n", namespace, f"--type={kind_of_patch}", "-p", json.dumps(patch))

    def condition(self, name: str, kind: str = "Ready") -> dict[str, Any]:
        found = self.get("instances.argosy.dev", name) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def wait(self, what: str, holds: Callable[[], Any], within: float = 30.0) -> Any:
        """Wait until something holds, and return it."""
        end = time.monotonic() + within
        while True:
            found = holds()
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"not within {within:.0f} s: {what}\n{self.tell()}")
            time.sleep(0.2)

    def wait_ready(self, name: str, within: float = HEALTHY_S) -> None:
        self.wait(f"{name} is Ready", lambda: self.is_current(name), within)

    def is_current(self, name: str) -> bool:
        found = self.get("instances.argosy.dev", name) or {"metadata": {"generation": -1}}
        ready = self.condition(name)
        return (
            ready.get("status") == "True" and ready["observedGeneration"] == found["metadata"]["generation"]
        )

    def tell(self) -> str:
        """Return what a person would look at when something is wrong."""
        state = self.kubectl(
            "get", "instances.argosy.dev,targets.argosy.dev,pods", "-A", "-o", "wide", check=False
        )
        logs = "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("*.log")))
        return f"{state}\n{logs}"

    def start_worker(self, *args: str, name: str = "worker") -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                [
                    Path(sys.executable).parent / "argosy",
                    "run",
                    f"--kubeconfig={self.cluster.kubeconfig}",
                    *args,
                ],
                stderr=log,
                stdout=log,
            )
        self.workers.append(worker)
        return worker

    def stop_workers(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(30)
        self.workers.clear()


def release(version: str = VERSION) -> dict[str, Any]:
    folder = build_all([f"argocd-{version}"])[f"argocd-{version}"]
    found = importer.release_of(sources.read(folder), source="upstream", trust=False)
    body = msgspec.to_builtins(found)
    return {"apiVersion": API_VERSION, "kind": "Release", "metadata": body["metadata"], "spec": body["spec"]}


def target(name: str = "hub", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": API_VERSION, "kind": "Target", "metadata": meta, "spec": spec}


def instance(name: str, **spec: Any) -> dict[str, Any]:
    base = {"owner": {"team": name}, "target": "hub", "version": VERSION}
    return {
        "apiVersion": API_VERSION,
        "kind": "Instance",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**base, **spec},
    }


def prepare(stage: Stage) -> None:
    """Install Argosy's kinds and a release, as `argosy install` and `release import` do."""
    stage.apply(*crds(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    stage.kubectl("wait", "--for=condition=Established", "crd", "--all")
    stage.apply(release())


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    if os.geteuid() != 0:
        pytest.skip("clusters need root")
    found = Stage(devcluster.up("t-e2e"), tmp_path_factory.mktemp("e2e"))
    try:
        images.serve_argocd()
        prepare(found)
        found.apply(target())
        found.start_worker()
        yield found
    finally:
        found.stop_workers()
        found.cluster.down()


@pytest.fixture(scope="session")
def venture(stage: Stage) -> str:
    """An Instance of five lines that is ready."""
    stage.apply(instance("venture-a"))
    stage.wait_ready("venture-a")
    return "venture-a"


WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "quay.io/argosy-demo/web:1"}]
      terminationGracePeriodSeconds: 0
"""


@pytest.fixture(scope="session")
def repository(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Git repository with one web server in it."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "web.yaml").write_text(WEB)
    yield services.create_repository("t-demo", folder)
    services.remove_repository("t-demo")


def application(name: str, repository: str, venture: str) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": name,
            "namespace": f"argocd-{venture}",
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
        },
        "spec": {
            "project": venture,
            "source": {"repoURL": repository, "path": ".", "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": venture},
            "syncPolicy": {"automated": {}},
        },
    }


def deploy_web(stage: Stage, repository: str, venture: str) -> str:
    """Have a venture deploy the web server; return the uid of its Deployment."""
    stage.apply(application("web", repository, venture))

    def healthy() -> bool:
        status = (stage.get("application", "web", f"argocd-{venture}") or {}).get("status", {})
        return (status.get("sync", {}).get("status"), status.get("health", {}).get("status")) == (
            "Synced",
            "Healthy",
        )

    stage.wait("the application is Synced and Healthy", healthy, 120)
    deployment = stage.get("deployment", "web", venture)
    assert deployment is not None
    return str(deployment["metadata"]["uid"])
