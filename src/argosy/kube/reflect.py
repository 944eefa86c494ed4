"""Keep a copy of what an API server holds of one kind: list once, then watch, for ever.

The copy is of whatever `decode` makes of an object, so that it can be as small as it needs to be.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from msgspec import Raw, Struct

from argosy.kube.client import Client
from argosy.kube.errors import ApiError, Gone, NotFound, error_from
from argosy.kube.objects import Ref, Resource

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: A watch is ended by the server after this long (seconds, spread), and begun again.
WATCH_SECONDS = (240, 360)
#: After an error: how long until the next try, in seconds, growing.
FIRST_PAUSE, LAST_PAUSE = 0.5, 15.0


class _ListMeta(Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Page(Struct):
    metadata: _ListMeta
    items: list[Raw] | None = None


class _Event(Struct):
    type: str
    object: Raw


class _Named(Struct):
    """What names an object, and which version of it this is."""

    class Meta(Struct, rename="camel"):
        name: str = ""
        namespace: str = ""
        resource_version: str = ""

    metadata: Meta


class Reflector(Generic[T]):
    """A copy of all objects of one kind that match a selector."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        decode: Callable[[bytes], T],
        on_change: Callable[[Ref, T | None, int], None],
        namespace: str = "",
        label_selector: str = "",
        metadata_only: bool = False,
    ) -> None:
        """Call ``on_change`` with each object's name, its new form (None: gone) and its version."""
        self.resource = resource
        self.synced = asyncio.Event()
        self.reachable = False
        self._client = client
        self._decode = decode
        self._on_change = on_change
        self._namespace, self._label_selector = namespace, label_selector
        self._metadata_only = metadata_only
        self._versions: dict[tuple[str, str], int] = {}
        self._events = msgspec.json.Decoder(_Event)
        self._names = msgspec.json.Decoder(_Named)

    async def run(self) -> None:
        """List and watch until cancelled, whatever the server does."""
        version = ""
        failures = 0
        while True:
            try:
                version = version or await self._list()
                self.reachable = True
                failures = 0
                version = await self._watch(version)
            except Gone:
                version = ""
            except ApiError as error:
                self.reachable = False
                pause = min(LAST_PAUSE, FIRST_PAUSE * 2.0**failures) * random.uniform(0.5, 1.0)  # noqa: S311
                failures += 1
                log.debug(
                    "watch interrupted", kind=self.resource.kind, error=str(error), pause=round(pause, 1)
                )
                if isinstance(error, NotFound):
                    version = ""  # the kind itself is not served (any more)
                await asyncio.sleep(pause)

    async def _list(self) -> str:
        """Take over the whole list; what it does not name any more is gone."""
        found: dict[tuple[str, str], int] = {}
        version = ""
        async for page in self._client.pages(
            self.resource,
            namespace=self._namespace,
            label_selector=self._label_selector,
            metadata_only=self._metadata_only,
            decode=_Page,
        ):
            version = page.metadata.resource_version
            for raw in page.items or ():
                key, number = self._take(raw)
                found[key] = number
            await asyncio.sleep(0)  # long lists must not keep leases from being renewed
        for key in self._versions.keys() - found.keys():
            self._lose(key, int(version or 0))
        self._versions = found
        self.synced.set()
        return version

    async def _watch(self, version: str) -> str:
        """Follow the changes since ``version``; return from where to go on."""
        stream = self._client.watch(
            self.resource,
            namespace=self._namespace,
            label_selector=self._label_selector,
            resource_version=version,
            metadata_only=self._metadata_only,
            server_timeout=random.randint(*WATCH_SECONDS),  # noqa: S311 - spreads load
        )
        async for line in stream:
            event = self._events.decode(line)
            if event.type == "ERROR":
                status: Any = msgspec.json.decode(event.object)
                raise error_from(int(status.get("code") or 500), status)
            meta = self._names.decode(event.object).metadata
            version = meta.resource_version
            if event.type == "BOOKMARK":
                continue
            key = (meta.namespace, meta.name)
            if event.type == "DELETED":
                self._versions.pop(key, None)
                self._lose(key, int(version))
            else:
                self._versions[key] = self._take(event.object)[1]
        return version

    def _take(self, raw: Raw) -> tuple[tuple[str, str], int]:
        meta = self._names.decode(raw).metadata
        key, number = (meta.namespace, meta.name), int(meta.resource_version)
        if self._versions.get(key) != number:
            self._on_change(self._ref(key), self._decode(bytes(raw)), number)
        return key, number

    def _lose(self, key: tuple[str, str], number: int) -> None:
        self._on_change(self._ref(key), None, number)

    def _ref(self, key: tuple[str, str]) -> Ref:
        return Ref(self.resource.group, self.resource.kind, *key)
