"""Write what Argosy found onto its objects, and go on when the source is away.

The newest status of an object waits here until the source takes it: a worker that has lost its
hub works on, and the status catches up when the hub is back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from argosy.kube.client import Client
from argosy.kube.errors import ApiError, NotFound
from argosy.kube.objects import Resource
from argosy.kube.queue import KeyedQueue

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class StatusKey:
    """Which object a status is of."""

    resource: Resource
    namespace: str
    name: str


class StatusWriter:
    """Writes statuses one at a time for each object, the newest only, with retries."""

    def __init__(self, client: Client) -> None:
        """Write to the API server behind ``client``."""
        self._client = client
        self._pending: dict[StatusKey, Any] = {}
        self._queue: KeyedQueue[StatusKey] = KeyedQueue()

    def put(self, key: StatusKey, status: Any) -> None:
        """Have a status written; one that still waits for the same object is replaced."""
        self._pending[key] = msgspec.to_builtins(status)
        self._queue.add(key)

    @property
    def waiting(self) -> int:
        """How many statuses the source has not taken yet."""
        return len(self._pending)

    async def run(self, workers: int = 4) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            status = self._pending.get(key)
            try:
                if status is not None:
                    await self._write(key, status)
            except ApiError as error:
                log.warning(
                    "status not written, will retry", object=f"{key.namespace}/{key.name}", error=str(error)
                )
                self._queue.retry(key)
            else:
                if self._pending.get(key) is status:
                    self._pending.pop(key, None)
                self._queue.forget(key)
            finally:
                self._queue.done(key)

    async def _write(self, key: StatusKey, status: Any) -> None:
        try:
            await self._client.patch(
                key.resource, key.name, {"status": status}, namespace=key.namespace, subresource="status"
            )
        except NotFound:
            return
