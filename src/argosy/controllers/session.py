"""One target as this worker serves it: the connection, the lease, what is live, the records.

A session holds the target's writer lease for as long as it can. Only while it does may anything
be written there; `fence` is asked before each wave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from msgspec import Struct, field

from argosy.api.meta import FIELD_MANAGER, MANAGED_BY_LABEL, SYSTEM_NAMESPACE
from argosy.api.target import Facts
from argosy.apply.carry_out import create_namespace
from argosy.apply.record import RECORD_LABEL, SHARED, Record, decode_record, owner_key
from argosy.controllers.view import Seen, View, owner_of
from argosy.kube.client import Client
from argosy.kube.errors import ApiError
from argosy.kube.lease import Lease
from argosy.kube.objects import (
    APP_PROJECT,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    CRD,
    DEPLOYMENT,
    HTTP_ROUTE,
    INGRESS,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    POD_DISRUPTION_BUDGET,
    PRIORITY_CLASS,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    STORAGE_CLASS,
    Obj,
    Ref,
    Resource,
    ref_of,
)
from argosy.kube.ownership import ManagedFields, entry_hash, owned_hash
from argosy.kube.reflect import Reflector
from argosy.observe.health import workload_health
from argosy.plan.order import WORKLOADS

log = structlog.get_logger(__name__)

#: Watched with their status; all others by their metadata only.
WORKLOAD_KINDS = (DEPLOYMENT, STATEFUL_SET)
METADATA_KINDS = (
    NAMESPACE,
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    SECRET,
    SERVICE,
    ROLE,
    ROLE_BINDING,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    INGRESS,
    PRIORITY_CLASS,
    CRD,
)
#: Watched where the target serves them, by API group.
OPTIONAL_KINDS = (APP_PROJECT, HTTP_ROUTE)
WRITER_LEASE = "argosy-writer"
MANAGED = f"{MANAGED_BY_LABEL}=argosy"
#: How long until a target that was not reached is tried again, in seconds.
RECONNECT_AFTER = 5.0


class LeaseLostError(RuntimeError):
    """This worker may not write to the target any more."""


class _Metadata(Struct, rename="camel"):
    resource_version: str
    labels: dict[str, str] = field(default_factory=dict)
    generation: int = 0
    managed_fields: list[ManagedFields] = field(default_factory=list)


class _Partial(Struct):
    metadata: _Metadata


class Session:
    """The one door through which controllers see and change a target."""

    def __init__(self, client: Client, *, name: str, identity: str, on_change: Callable[[str], None]) -> None:
        """Serve the target behind ``client`` as ``identity``; tell of changes by their owner."""
        self.client = client
        self.name = name
        self.identity = identity
        self.records: dict[str, Record] = {}
        self.shared = Record()
        self.facts = Facts()
        self.trouble = ""
        self.ready = asyncio.Event()
        self.view = View(on_change)
        self._lease = Lease(client, namespace=SYSTEM_NAMESPACE, name=WRITER_LEASE, identity=identity)
        self._on_change = on_change
        self._optional: dict[Resource, asyncio.Task[None]] = {}

    @property
    def holder(self) -> str:
        """Return who holds the target's lease, as far as is known."""
        return self._lease.holder

    async def fence(self) -> None:
        """Raise LeaseLostError unless this worker alone may write to the target now."""
        if not self._lease.held():
            raise LeaseLostError(f"{self.identity} does not hold the lease of target {self.name}")

    async def run(self) -> None:
        """Hold the lease and keep the view up to date, until cancelled."""
        try:
            while True:
                try:
                    self.facts = await find_facts(self.client)
                    await create_namespace(self.client, SYSTEM_NAMESPACE)
                    self.trouble = ""
                    await self._lease.acquire()
                    await self._serve()
                except ApiError as error:
                    self.trouble = str(error)
                    self._on_change(SHARED)
                    log.warning("target not reached", target=self.name, error=str(error))
                    await asyncio.sleep(RECONNECT_AFTER)
                finally:
                    self.ready.clear()
        finally:
            await self._release()

    async def watch_optional(self) -> None:
        """Also watch the kinds that only some targets serve, once this one does."""
        if not self.ready.is_set():
            return
        self.facts = await find_facts(self.client)
        missing = [k for k in OPTIONAL_KINDS if k.group in self.facts.api_groups and k not in self._optional]
        reflectors = [self._reflector(kind) for kind in missing]
        for reflector in reflectors:
            self._optional[reflector.resource] = asyncio.create_task(reflector.run())
        for reflector in reflectors:
            await reflector.synced.wait()

    async def _serve(self) -> None:
        """Watch the target for as long as the lease is held."""
        self.view = View(self._on_change)
        self.records, self.shared = {}, Record()
        for found in await self.client.list(
            CONFIG_MAP, namespace=SYSTEM_NAMESPACE, label_selector=RECORD_LABEL
        ):
            key = owner_key(found)
            if key == SHARED:
                self.shared = decode_record(found)
            else:
                self.records[key] = decode_record(found)
        reflectors = [self._reflector(kind) for kind in (*WORKLOAD_KINDS, *METADATA_KINDS)]
        watching = [asyncio.create_task(reflector.run()) for reflector in reflectors]
        holding = asyncio.create_task(self._lease.hold())
        try:
            for reflector in reflectors:
                await reflector.synced.wait()
            self.ready.set()
            await self.watch_optional()
            self._on_change(SHARED)
            for owner in self.records:
                self._on_change(owner)
            await holding  # returns when the lease is lost
            log.warning("lease lost", target=self.name)
        finally:
            for task in (holding, *watching, *self._optional.values()):
                task.cancel()
            self._optional.clear()

    def _reflector(self, resource: Resource) -> Reflector[_Partial | Obj]:
        full = resource in WORKLOAD_KINDS
        decode: Callable[[bytes], Any] = msgspec.json.Decoder(Obj if full else _Partial).decode

        def changed(ref: Ref, found: _Partial | Obj | None, version: int) -> None:
            if found is None:
                self.view.drop(ref, version=version, announce=True)
            elif isinstance(found, dict):
                self.view.put(
                    self.seen({**found, "kind": ref.kind, "apiVersion": resource.api_version}), announce=True
                )
            else:
                meta = found.metadata
                seen = Seen(
                    ref=ref,
                    owner=owner_of(meta.labels),
                    owned=entry_hash(meta.managed_fields, FIELD_MANAGER),
                    version=version,
                )
                self.view.put(seen, announce=True)

        return Reflector(
            self.client,
            resource,
            decode=decode,
            on_change=changed,
            label_selector=MANAGED,
            metadata_only=not full,
        )

    def seen(self, obj: Obj) -> Seen:
        """Return what the view keeps of an object that was read or written as a whole."""
        meta = obj["metadata"]
        return Seen(
            ref=ref_of(obj),
            owner=owner_of(meta.get("labels", {})),
            owned=owned_hash(obj, FIELD_MANAGER),
            version=int(meta["resourceVersion"]),
            health=workload_health(obj) if obj["kind"] in WORKLOADS else None,
        )

    async def _release(self) -> None:
        try:
            await asyncio.shield(self._lease.release())
        except ApiError as error:
            log.info("lease not released, it will run out", target=self.name, error=str(error))


async def find_facts(client: Client) -> Facts:
    """Find out what a target offers."""
    nodes = await client.list(NODE)
    classes = await client.list(STORAGE_CLASS)
    return Facts(
        kubernetes=await client.version(),
        nodes=sum(takes_pods(node) for node in nodes),
        storage_classes=sorted(found["metadata"]["name"] for found in classes),
        api_groups=list(await client.api_groups()),
    )


def takes_pods(node: Obj) -> bool:
    """Tell whether a node is ready and open for pods."""
    conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions", ())}
    return conditions.get("Ready") == "True" and not node["spec"].get("unschedulable")
