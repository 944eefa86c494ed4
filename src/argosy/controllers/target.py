"""Reconcile one Target: hold a session with it, and what all its Instances share."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec
import structlog

from argosy.api.instance import Instance
from argosy.api.meta import FIELD_MANAGER, MANAGED_BY_LABEL, set_condition
from argosy.api.reasons import TargetReason as Reason
from argosy.api.release import Release
from argosy.api.target import ConnectionType, Target, TargetStatus
from argosy.apply.record import SHARED, save_record
from argosy.controllers.session import Session
from argosy.controllers.source import TARGET, Source
from argosy.controllers.status import StatusKey, StatusWriter
from argosy.controllers.sync import sync, untouched
from argosy.kube import config
from argosy.kube.client import Client
from argosy.kube.errors import NotFound
from argosy.kube.objects import CRD, SECRET, Obj
from argosy.releases.bundle import unpack
from argosy.releases.index import order
from argosy.render.shared import shared_objects

log = structlog.get_logger(__name__)

#: How often a target is looked at without a cause, in seconds.
PROBE_EVERY = 60.0
RETRY_AFTER = 5.0


class TargetController:
    """Keeps a session with each Target that this worker serves."""

    def __init__(
        self,
        source: Source,
        *,
        identity: str,
        connection: config.Connection,
        serves: Callable[[Target], bool],
        statuses: StatusWriter,
        on_change: Callable[[str, str], None],
        clock: Callable[[], datetime],
    ) -> None:
        """Serve the Targets that ``serves`` accepts; ``connection`` is this worker's own cluster.

        ``on_change`` is told of a Target's key and an owner whose objects on it have changed.
        """
        self._source = source
        self._identity = identity
        self._own = connection
        self._serves = serves
        self._statuses = statuses
        self._on_change = on_change
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._connected_by: dict[str, str] = {}
        self._crds: dict[str, str] = {}

    def session_for(self, instance: Instance) -> Session | None:
        """Return the session with an Instance's Target, if it may be written to and is prepared."""
        key = f"{instance.metadata.namespace}/{instance.spec.target}"
        session = self._sessions.get(key)
        prepared = session is not None and session.ready.is_set() and self._prepared_for(key, instance)
        return session if prepared else None

    def _prepared_for(self, key: str, instance: Instance) -> bool:
        held = self._crds.get(key)
        return held is not None and order(held) >= order(instance.spec.version)

    async def reconcile(self, key: str) -> float | None:
        """Bring one Target up to date; return in how many seconds to look again.

        1. Load it. 2. Connect. 3. Wait for the lease and the first look. 4. Apply what its
        Instances share. 5. Tell.
        """
        target = self._source.targets.objects.get(key)
        if target is None or not self._serves(target):
            await self._disconnect(key)
            return None
        try:
            session = await self._connect(key, target)
        except config.ConfigError as error:
            self._tell(target, None, reason=Reason.UNREACHABLE, message=str(error))
            return PROBE_EVERY
        if not session.ready.is_set():
            if session.trouble:
                self._tell(target, session, reason=Reason.UNREACHABLE, message=session.trouble)
            return RETRY_AFTER
        await session.watch_optional()
        await self._share(key, target, session)
        self._tell(target, session, reason=Reason.READY, message=f"served by {session.identity}")
        for instance in self._source.on_target(target):
            self._on_change(key, instance.key)
        return PROBE_EVERY

    async def _connect(self, key: str, target: Target) -> Session:
        """Return the session with a Target; a new one when its connection has changed."""
        text = await self._kubeconfig(target)
        if key in self._sessions and self._connected_by[key] == text:
            return self._sessions[key]
        await self._disconnect(key)
        where = self._own
        if target.spec.connection.type is ConnectionType.PUSH:
            where = config.from_text(text, origin=f"kubeconfig of Target {key}")
        session = Session(
            Client(where),
            name=key,
            identity=self._identity,
            on_change=lambda owner: self._on_change(key, owner),
        )
        self._sessions[key], self._connected_by[key] = session, text
        self._tasks[key] = asyncio.create_task(session.run(), name=f"session {key}")
        return session

    async def _kubeconfig(self, target: Target) -> str:
        """Return the kubeconfig of a pushed Target; empty for the others."""
        named = target.spec.connection.kubeconfig
        if target.spec.connection.type is not ConnectionType.PUSH or named is None:
            return ""
        namespace = target.metadata.namespace
        where = f"Secret {namespace}/{named.name}"
        try:
            secret = await self._source.client.get(SECRET, named.name, namespace=namespace)
        except NotFound:
            raise config.ConfigError(f"{where} is not there; create it with a kubeconfig in it") from None
        data = secret.get("data") or {}
        if named.key not in data:
            raise config.ConfigError(
                f"{where} has no key {named.key}; it has {', '.join(sorted(data)) or 'none'}"
            )
        try:
            return base64.b64decode(data[named.key]).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise config.ConfigError(f"{where}: key {named.key} is not text") from None

    async def _disconnect(self, key: str) -> None:
        """End the session with a Target, giving its lease up."""
        session, task = self._sessions.pop(key, None), self._tasks.pop(key, None)
        self._crds.pop(key, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if session is not None:
            await session.client.close()

    async def close(self) -> None:
        """End all sessions."""
        for key in list(self._sessions):
            await self._disconnect(key)

    async def _share(self, key: str, target: Target, session: Session) -> None:
        """Apply what all Instances share: priority classes, and the CRDs that the newest needs."""
        newest = max(self._needed(target), key=lambda release: order(release.spec.version), default=None)
        if newest is None:
            return
        record = session.shared
        inputs = newest.spec.digest
        if record.inputs != inputs or not untouched(session, SHARED, record):
            known = msgspec.json.encode(record)
            crds = [labelled(crd) for crd in unpack(newest).custom_resource_definitions()]
            keep = [crd for crd in crds if not await self._is_newer(session, crd)]
            result = await sync(session, SHARED, [*shared_objects(), *keep], record, rollout=False)
            if result.failed:
                raise result.failed[0].error
            record.inputs = inputs
            if msgspec.json.encode(record) != known:
                await save_record(session.client, SHARED, record)
            await session.watch_optional()
        self._crds[key] = newest.spec.version

    def _needed(self, target: Target) -> Iterator[Release]:
        """Yield the Releases that a Target's Instances name."""
        for instance in self._source.on_target(target):
            release = self._source.release_of(instance)
            if release is not None:
                yield release

    @staticmethod
    async def _is_newer(session: Session, crd: Obj) -> bool:
        """Tell whether the live CRD knows fields that this one does not: then it stays as it is."""
        try:
            live = await session.client.get(CRD, crd["metadata"]["name"])
        except NotFound:
            return False
        newer = bool(fields_of(live) - fields_of(crd))
        if newer:
            log.warning("CRD on the target is newer, left alone", crd=crd["metadata"]["name"])
        return newer

    def _tell(self, target: Target, session: Session | None, *, reason: Reason, message: str) -> None:
        """Have the status written, if it says anything new."""
        ready = reason is Reason.READY
        now = self._clock()
        before = target.status
        generation = target.metadata.generation
        conditions = before.conditions
        for kind, holds in (("Ready", ready), ("Reconciling", not ready), ("Stalled", False)):
            conditions = set_condition(
                conditions,
                kind,
                status=holds,
                reason=reason,
                message=message,
                now=now,
                generation=generation,
            )
        status = TargetStatus(
            observed_generation=generation,
            conditions=conditions,
            facts=session.facts if session and ready else before.facts,
            crds=self._crds.get(f"{target.metadata.namespace}/{target.metadata.name}", before.crds),
            worker=session.holder if session else "",
            last_contact=now if ready and stale(before, now) else before.last_contact,
            instances=len(self._source.on_target(target)),
        )
        if status != before:
            self._statuses.put(StatusKey(TARGET, target.metadata.namespace, target.metadata.name), status)


def stale(status: TargetStatus, now: datetime) -> bool:
    """Tell whether the last contact is long enough ago to be told anew."""
    last = status.last_contact
    return last is None or (now - last).total_seconds() > 5 * PROBE_EVERY


def labelled(crd: Obj) -> Obj:
    """Return a CRD with the label by which Argosy finds what it applied."""
    meta = crd["metadata"]
    meta["labels"] = {**meta.get("labels", {}), MANAGED_BY_LABEL: FIELD_MANAGER}
    return crd


def fields_of(crd: Obj) -> set[str]:
    """Return the paths of all fields that a CRD's versions know."""
    found: set[str] = set()

    def walk(path: str, schema: Obj) -> None:
        for name, inner in (schema.get("properties") or {}).items():
            found.add(f"{path}.{name}")
            walk(f"{path}.{name}", inner)
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                walk(f"{path}[]", schema[key])

    for version in crd["spec"]["versions"]:
        walk(version["name"], version.get("schema", {}).get("openAPIV3Schema", {}))
    return found
