"""The API server where Instances are written, as this worker sees it.

Instances, Targets and Releases are watched and kept. When the source is away the worker goes on
from what it last saw; after a restart without a source, from what it kept on the target.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
import structlog

from argosy.api.instance import Instance
from argosy.api.meta import GROUP, VERSION, ObjectMeta, key_of
from argosy.api.release import Release
from argosy.api.target import Target
from argosy.kube.client import Client
from argosy.kube.objects import Ref, Resource, register
from argosy.kube.reflect import Reflector

log = structlog.get_logger(__name__)

INSTANCE = register(Resource(GROUP, VERSION, "instances", "Instance"))
TARGET = register(Resource(GROUP, VERSION, "targets", "Target"))
RELEASE = register(Resource(GROUP, VERSION, "releases", "Release", namespaced=False))

K = TypeVar("K", Instance, Target, Release)


class Kept(Generic[K]):
    """All objects of one of Argosy's kinds, by ``namespace/name``."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        kind: type[K],
        *,
        namespace: str,
        on_change: Callable[[str], None],
    ) -> None:
        """Watch ``resource``; tell of changes by key."""
        self.objects: dict[str, K] = {}
        self._on_change = on_change
        self.reflector: Reflector[K | None] = Reflector(
            client,
            resource,
            decode=_decoder(kind),
            on_change=self._take,
            namespace=namespace if resource.namespaced else "",
        )

    def _take(self, ref: Ref, found: K | None, _version: int) -> None:
        key = key_of(ObjectMeta(name=ref.name, namespace=ref.namespace))
        if found is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = found
        self._on_change(key)

    def take_kept(self, found: K) -> None:
        """Take over an object that was kept on a target, unless the source has told of it."""
        key = key_of(found.metadata)
        if not self.reflector.synced.is_set() and key not in self.objects:
            self.objects[key] = found
            self._on_change(key)


def _decoder(kind: type[K]) -> Callable[[bytes], K | None]:
    decoder = msgspec.json.Decoder(kind)

    def decode(data: bytes) -> K | None:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError as error:  # written under another version of the CRD
            log.error(  # noqa: TRY400 - the trace would say nothing
                "object not understood", kind=kind.__name__, error=str(error)
            )
            return None

    return decode


class Source:
    """What is written for this worker to do."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str = "",
        on_instance: Callable[[str], None],
        on_target: Callable[[str], None],
        on_release: Callable[[str], None],
    ) -> None:
        """Watch one namespace, or all of them when ``namespace`` is empty."""
        self.client = client
        self.instances = Kept(client, INSTANCE, Instance, namespace=namespace, on_change=on_instance)
        self.targets = Kept(client, TARGET, Target, namespace=namespace, on_change=on_target)
        self.releases = Kept(client, RELEASE, Release, namespace="", on_change=on_release)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kept in (self.instances, self.targets, self.releases):
                tasks.create_task(kept.reflector.run())

    @property
    def synced(self) -> bool:
        """Tell whether the source has been read as a whole at least once."""
        return all(k.reflector.synced.is_set() for k in (self.instances, self.targets, self.releases))

    def on_target(self, target: Target) -> list[Instance]:
        """Return the Instances that name a Target."""
        namespace, name = target.metadata.namespace, target.metadata.name
        return [
            instance
            for instance in self.instances.objects.values()
            if instance.metadata.namespace == namespace and instance.spec.target == name
        ]

    def target_of(self, instance: Instance) -> Target | None:
        """Return the Target that an Instance names."""
        return self.targets.objects.get(f"{instance.metadata.namespace}/{instance.spec.target}")

    def release_of(self, instance: Instance) -> Release | None:
        """Return the Release that an Instance names."""
        return self.releases.objects.get(instance.spec.version)
