"""What rendering starts from, and the collection of objects that the features edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from argosy.api.instance import Component, Instance
from argosy.api.meta import COMPONENT_LABEL
from argosy.api.target import Facts, Registry
from argosy.kube.objects import BY_KIND, Obj, ref_of

WORKLOADS = ("Deployment", "StatefulSet")

#: Upstream's component label for each component that an Instance can override. Redis has several
#: workloads when it is highly available.
COMPONENTS = {
    "application-controller": "controller",
    "server": "server",
    "repo-server": "repo_server",
    "applicationset-controller": "application_set",
    "notifications-controller": "notifications",
    "redis": "redis",
}


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

    def override(self, component: str) -> Component:
        """Return what the Instance says of a component, by upstream's label."""
        name = COMPONENTS.get("redis" if component.startswith("redis") else component)
        found: Component = getattr(self.instance.spec.components, name) if name else Component()
        return found


class Objects:
    """The objects of one installation, found by kind and name."""

    def __init__(self, items: list[Obj]) -> None:
        """Start from the upstream manifests."""
        self.items = items

    def __iter__(self) -> Iterator[Obj]:
        """Iterate over all objects."""
        return iter(self.items)

    def find(self, kind: str, name: str) -> Obj | None:
        """Return one object, or None: not every version has each."""
        return next((o for o in self.items if o["kind"] == kind and o["metadata"]["name"] == name), None)

    def of_kind(self, *kinds: str) -> list[Obj]:
        """Return all objects of some kinds."""
        return [obj for obj in self.items if obj["kind"] in kinds]

    def workloads(self) -> list[Obj]:
        """Return all workloads."""
        return self.of_kind(*WORKLOADS)

    def add(self, obj: Obj) -> None:
        """Add an object."""
        self.items.append(obj)

    def remove_component(self, component: str) -> None:
        """Remove everything that belongs to one component."""
        self.items = [obj for obj in self.items if component_of(obj) != component]

    def remove_kind(self, kind: str) -> None:
        """Remove all objects of a kind."""
        self.items = [obj for obj in self.items if obj["kind"] != kind]

    def ordered(self) -> list[Obj]:
        """Return the objects in one fixed order."""
        return sorted(self.items, key=ref_of)


def component_of(obj: Obj) -> str:
    """Return upstream's component label of an object."""
    return str(obj["metadata"].get("labels", {}).get(COMPONENT_LABEL, ""))


def is_namespaced(obj: Obj) -> bool:
    """Tell whether an object lives in a namespace."""
    group, _, version = obj["apiVersion"].rpartition("/")
    known = BY_KIND.get((group if version else "", obj["kind"]))
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
    """Return a workload's containers, init containers first."""
    spec = pod_spec(workload)
    return [*spec.get("initContainers", []), *spec["containers"]]


def set_env(container: Obj, name: str, value: str) -> None:
    """Set an environment variable of a container, whatever it was."""
    env = [entry for entry in container.get("env", []) if entry["name"] != name]
    container["env"] = [*env, {"name": name, "value": value}]
