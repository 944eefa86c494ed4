"""What is live on a target, as far as Argosy must know it: a few words for each object.

Objects are watched by their metadata only (workloads with their status), so that sixty thousand
of them fit into memory and no Secret's value is ever read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from msgspec import Struct

from argosy.api.meta import INSTANCE_LABEL, INSTANCE_NAMESPACE_LABEL
from argosy.apply.record import SHARED
from argosy.kube.objects import Ref
from argosy.observe.health import WorkloadHealth
from argosy.plan.order import WORKLOADS


class Seen(Struct, frozen=True, gc=False):
    """One live object: Argosy's ownership as a hash (empty: none), its version, a workload's health."""

    ref: Ref
    owner: str
    owned: str
    version: int
    health: WorkloadHealth | None = None


class View:
    """All objects on one target that carry Argosy's labels, by the Instance that they are for."""

    def __init__(self, on_change: Callable[[str], None]) -> None:
        """Call ``on_change`` with the owner whenever one of its objects has changed."""
        self._objects: dict[str, dict[Ref, Seen]] = {}
        self._owners: dict[Ref, str] = {}
        self._on_change = on_change

    def of(self, owner: str) -> Mapping[Ref, Seen]:
        """Return what is live for one Instance (``namespace/name``) or for all (``SHARED``)."""
        return MappingProxyType(self._objects.get(owner, {}))

    def workloads(self, owner: str) -> dict[Ref, WorkloadHealth | None]:
        """Return the health of an Instance's workloads."""
        return {ref: seen.health for ref, seen in self.of(owner).items() if ref.kind in WORKLOADS}

    def put(self, seen: Seen, *, announce: bool = False) -> None:
        """Take note of an object; news that is older than what is known is passed over.

        Resource versions of one kind are ordered (KEP-5504), so that the answer to Argosy's own
        write and the watch may tell of the same object in either order.
        """
        owner = self._owners.get(seen.ref, seen.owner)
        before = self._objects.get(owner, {}).get(seen.ref)
        if before is not None and before.version >= seen.version:
            return
        if owner != seen.owner:
            self.drop(seen.ref, announce=announce)
        self._owners[seen.ref] = seen.owner
        self._objects.setdefault(seen.owner, {})[seen.ref] = seen
        if announce and (before is None or before.owned != seen.owned or before.health != seen.health):
            self._on_change(seen.owner)

    def drop(self, ref: Ref, *, version: int = 0, announce: bool = False) -> None:
        """Take note that an object is gone, or does not carry Argosy's labels any more."""
        owner = self._owners.get(ref)
        if owner is None or (version and self._objects[owner][ref].version > version):
            return
        del self._owners[ref]
        del self._objects[owner][ref]
        if not self._objects[owner]:
            del self._objects[owner]
        if announce:
            self._on_change(owner)

    def owners(self) -> set[str]:
        """Return all Instances for which something is live."""
        return set(self._objects) - {SHARED}


def owner_of(labels: Mapping[str, str]) -> str:
    """Return the Instance that an object is for, from its labels."""
    name = labels.get(INSTANCE_LABEL, "")
    return f"{labels.get(INSTANCE_NAMESPACE_LABEL, '')}/{name}" if name else SHARED
