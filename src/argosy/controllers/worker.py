"""One worker: what it watches, the queue, and which controller a key is for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter, Gauge, Histogram

from argosy.api.instance import Instance
from argosy.api.target import ConnectionType, Target
from argosy.controllers.instance import InstanceController
from argosy.controllers.release import ReleaseController
from argosy.controllers.session import LeaseLostError
from argosy.controllers.source import Source
from argosy.controllers.status import StatusWriter
from argosy.controllers.target import TargetController
from argosy.kube.client import Client
from argosy.kube.config import Connection
from argosy.kube.errors import ApiError
from argosy.kube.events import Recorder
from argosy.kube.queue import RESYNC, KeyedQueue

log = structlog.get_logger(__name__)

#: Reconciles at once; requests are bounded by each client.
CONCURRENCY = 16

RECONCILES = Counter("argosy_reconciles_total", "Reconciles by kind and result", ["kind", "result"])
SECONDS = Histogram(
    "argosy_reconcile_seconds",
    "How long a reconcile takes",
    ["kind"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
QUEUED = Gauge("argosy_queue_length", "Keys that wait for a reconcile")
UNWRITTEN = Gauge("argosy_statuses_waiting", "Statuses that the source has not taken yet")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one worker serves.

    ``target`` is set for a pull worker: the one Target that it serves, in ``namespace``. Otherwise
    it serves all Targets that are not pulled, in ``namespace`` or everywhere.
    """

    identity: str
    namespace: str = ""
    target: str = ""


@dataclass(frozen=True)
class Key:
    """One object to be reconciled."""

    kind: str
    name: str


class Worker:
    """Watches the source, serves its Targets, reconciles what changes."""

    def __init__(self, settings: Settings, *, source: Connection, own: Connection) -> None:
        """Read Instances from ``source``; ``own`` is the cluster that this worker runs in or beside."""
        self.settings = settings
        self._queue: KeyedQueue[Key] = KeyedQueue()
        self._client = Client(source)
        self._statuses = StatusWriter(self._client)
        self.source = Source(
            self._client,
            namespace=settings.namespace,
            on_instance=self._instance_changed,
            on_target=lambda key: self._queue.add(Key("Target", key)),
            on_release=self._release_changed,
        )
        self.targets = TargetController(
            self.source,
            identity=settings.identity,
            connection=own,
            serves=self._serves,
            statuses=self._statuses,
            on_change=self._live_changed,
            clock=now,
        )
        self._instances = InstanceController(
            self.source,
            sessions=self.targets.session_for,
            statuses=self._statuses,
            recorder=Recorder(self._client, component="argosy", clock=now),
            clock=now,
        )
        self._releases = ReleaseController(self.source, statuses=self._statuses, clock=now)

    async def run(self) -> None:
        """Work until cancelled; leases are given up at the end."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.source.run())
                tasks.create_task(self._statuses.run())
                for _ in range(CONCURRENCY):
                    tasks.create_task(self._work())
        finally:
            await self.targets.close()
            await self._client.close()

    def _serves(self, target: Target) -> bool:
        pulled = target.spec.connection.type is ConnectionType.PULL
        if self.settings.target:
            return pulled and target.metadata.name == self.settings.target
        return not pulled

    def _serves_instance(self, instance: Instance) -> bool:
        """Tell whether an Instance is this worker's: also one whose Target nobody knows."""
        target = self.source.target_of(instance)
        return self._serves(target) if target else not self.settings.target

    def _instance_changed(self, key: str) -> None:
        self._queue.add(Key("Instance", key))
        instance = self.source.instances.objects.get(key)
        if instance is not None:
            self._queue.add(Key("Target", f"{instance.metadata.namespace}/{instance.spec.target}"))

    def _release_changed(self, key: str) -> None:
        self._queue.add(Key("Release", key))
        for instance in self.source.instances.objects.values():
            if instance.spec.version == key:
                self._instance_changed(instance.key)

    def _live_changed(self, target: str, owner: str) -> None:
        self._queue.add(Key("Instance", owner) if owner else Key("Target", target))

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            QUEUED.set(len(self._queue))
            UNWRITTEN.set(self._statuses.waiting)
            began = time.perf_counter()
            try:
                after = await self._reconcile(key)
            except LeaseLostError as error:
                log.warning("stopped before writing", kind=key.kind, name=key.name, why=str(error))
                self._queue.add_after(key, 1.0)
                RECONCILES.labels(key.kind, "fenced").inc()
            except ApiError as error:
                delay = self._queue.retry(key)
                log.warning(
                    "will retry", kind=key.kind, name=key.name, error=str(error), after=round(delay, 1)
                )
                RECONCILES.labels(key.kind, "failed").inc()
            except Exception:
                self._queue.retry(key)
                log.exception("defect", kind=key.kind, name=key.name)
                RECONCILES.labels(key.kind, "defect").inc()
            else:
                self._queue.forget(key)
                if after is not None:
                    self._queue.add_after(key, after, RESYNC)
                RECONCILES.labels(key.kind, "done").inc()
            finally:
                SECONDS.labels(key.kind).observe(time.perf_counter() - began)
                self._queue.done(key)

    async def _reconcile(self, key: Key) -> float | None:
        if key.kind == "Target":
            return await self.targets.reconcile(key.name)
        if key.kind == "Release":
            if not self.settings.target:  # one judge is enough, and a pull worker may not write it
                self._releases.reconcile(key.name)
            return None
        instance = self.source.instances.objects.get(key.name)
        if instance is not None and not self._serves_instance(instance):
            return None
        return await self._instances.reconcile(key.name)


def now() -> datetime:
    """Return the time as the API writes it: UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
