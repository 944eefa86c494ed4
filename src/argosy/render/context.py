"""What rendering starts from, and the collection of objects that the features edit.

Knows how upstream marks what belongs together: the ``app.kubernetes.io/component`` label. Knows no
version: what a release does not have is not found, and the features go on without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from argosy.api.instance import Component, Instance
from argosy.api.meta import COMPONENT_LABEL
from argosy.api.target import Facts, Registry
from argosy.kube.objects import BY_KIND, Obj, ref_of

WORKLOADS = ("Deployment", "StatefulSet")

CONTROLLER = "application-controller"
SERVER = "server"
REPO_SERVER = "repo-server"
APPLICATION_SETS = "applicationset-controller"
NOTIFICATIONS = "notifications-controller"
REDIS = "redis"
DEX = "dex-server"

#: The field of `Components` for each of upstream's component labels. Redis has several workloads
#: when it is highly available; Dex takes no overrides.
OVERRIDES = {
    CONTROLLER: "controller",
    SERVER: "server",
    REPO_SERVER: "repo_server",
    APPLICATION_SETS: "application_set",
    NOTIFICATIONS: "notifications",
    REDIS: "redis",
}
#: What may hold settings and credentials of the tenant's: it outlives the component that reads it.
KEPT = ("ConfigMap", "Secret")


@dataclass(frozen=True, kw_only=True)
class RenderContext:
    """Everything that rendering depends on beside the upstream manifests."""

    instance: Instance
    facts: Facts = field(default_factory=Facts)
    registry: Registry = field(default_factory=Registry)

    @property
    def namespace(self) -> str:
        """The instance's namespace on the target."""
        return self.instance.namespace

    def override(self, workload: Obj) -> Component:
        """Return what the Instance says of the component that a workload belongs to."""
        name = OVERRIDES.get(component_of(workload))
        found: Component = getattr(self.instance.spec.components, name) if name else Component()
        return found


class Objects:
    """The objects of one installation, found by kind and name."""

    def __init__(self, items: list[Obj]) -> None:
        """Start from the upstream manifests."""
        self._items = items

    def __iter__(self) -> Iterator[Obj]:
        """Iterate over all objects."""
        return iter(self._items)

    def find(self, kind: str, name: str) -> Obj | None:
        """Return one object, or None: not every version has each."""
        return next((o for o in self._items if o["kind"] == kind and o["metadata"]["name"] == name), None)

    def of_kind(self, *kinds: str) -> list[Obj]:
        """Return all objects of some kinds."""
        return [obj for obj in self._items if obj["kind"] in kinds]

    def workloads(self, component: str = "") -> list[Obj]:
        """Return all workloads, or those of one component."""
        return [w for w in self.of_kind(*WORKLOADS) if component in ("", component_of(w))]

    def add(self, obj: Obj) -> None:
        """Add an object."""
        self._items.append(obj)

    def remove_component(self, component: str) -> None:
        """Remove what runs for one component; ConfigMaps and Secrets stay, they may hold data."""
        selectors = [workload["spec"]["selector"] for workload in self.workloads(component)]

        def belongs(obj: Obj) -> bool:
            # Releases before 3.0 ship network policies without labels.
            guards = obj["kind"] == "NetworkPolicy" and obj["spec"]["podSelector"] in selectors
            return obj["kind"] not in KEPT and (component_of(obj) == component or guards)

        self._items = [obj for obj in self._items if not belongs(obj)]

    def remove_kind(self, kind: str) -> None:
        """Remove all objects of a kind."""
        self._items = [obj for obj in self._items if obj["kind"] != kind]

    def ordered(self) -> list[Obj]:
        """Return the objects in one fixed order."""
        return sorted(self._items, key=ref_of)


def component_of(obj: Obj) -> str:
    """Return upstream's component label of an object."""
    return str(obj["metadata"].get("labels", {}).get(COMPONENT_LABEL, ""))


def is_namespaced(obj: Obj) -> bool:
    """Tell whether an object lives in a namespace."""
    ref = ref_of(obj)
    known = BY_KIND.get((ref.group, ref.kind))
    return known is None or known.namespaced


def pod_spec(workload: Obj) -> Obj:
    """Return the spec of a workload's pods."""
    spec: Obj = workload["spec"]["template"]["spec"]
    return spec


def main_container(workload: Obj) -> Obj:
    """Return a workload's main container: the first."""
    container: Obj = pod_spec(workload)["containers"][0]
    return container


def all_containers(workload: Obj) -> list[Obj]:
    """Return a workload's containers, the main one first, init containers last."""
    spec = pod_spec(workload)
    return [*spec["containers"], *spec.get("initContainers", [])]


def env_entry(container: Obj, name: str) -> Obj | None:
    """Return an environment variable of a container, or None."""
    return next((entry for entry in container.get("env", []) if entry["name"] == name), None)


def set_env(container: Obj, name: str, value: str) -> None:
    """Set an environment variable of a container, whatever it was."""
    env = [entry for entry in container.get("env", []) if entry["name"] != name]
    container["env"] = [*env, {"name": name, "value": value}]
