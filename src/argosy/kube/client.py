"""Requests to one API server: bounded in number, retried where that is safe, errors by meaning."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from argosy.kube.config import Connection
from argosy.kube.errors import ApiError, TooManyRequests, Unauthorized, Unavailable, error_from
from argosy.kube.objects import Obj, Resource, ref_of, resource_of

#: Requests under way at once. More does not make an API server faster, and starves its other clients.
IN_FLIGHT = 32
PAGE = 500
TIMEOUT = 60.0
ATTEMPTS = 6
FIRST_DELAY, LAST_DELAY = 0.2, 10.0
#: Connections are renewed after this many seconds, so that load moves to new API servers.
CONNECTION_AGE = 600.0
#: A watch on which nothing has been heard for this long is begun anew, in seconds.
SILENCE = 120.0
READ_BUFFER = 2**21
USER_AGENT = "argosy"

JSON_TYPE = "application/json"
APPLY_TYPE = "application/apply-patch+yaml"
MERGE_TYPE = "application/merge-patch+json"
METADATA_TYPE = "application/json;as={kind};g=meta.k8s.io;v=v1"


class Client:
    """One API server. Use as an async context manager."""

    def __init__(
        self, connection: Connection, *, in_flight: int = IN_FLIGHT, attempts: int = ATTEMPTS
    ) -> None:
        """Talk to the server behind ``connection``; ``attempts`` bounds the tries of one request."""
        self.connection = connection
        self._slots = asyncio.Semaphore(in_flight)
        self._attempts = attempts
        self._session: aiohttp.ClientSession | None = None
        self._session_made = 0.0
        self._certificates: tuple[int, ...] = ()
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Connect lazily: the first request opens the first connection."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self, resource: Resource, name: str, *, namespace: str = "", metadata_only: bool = False
    ) -> Obj:
        """Return one object; raise NotFound."""
        accept = METADATA_TYPE.format(kind="PartialObjectMetadata") if metadata_only else JSON_TYPE
        path = resource.path(namespace=namespace, name=name)
        return await self._json("GET", path, headers={"Accept": accept})

    async def list(
        self, resource: Resource, *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> list[Obj]:
        """Return all objects that match."""
        items: list[Obj] = []
        async for page in self.pages(
            resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector
        ):
            for item in page.get("items") or []:
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
                items.append(item)
        return items

    async def pages(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        decode: Any = Any,
    ) -> AsyncIterator[Any]:
        """Yield the pages of a list as ``decode`` types them; a page's ``metadata`` has its version.

        Raise Gone when the server has forgotten the list half way: the caller begins anew.
        """
        accept = METADATA_TYPE.format(kind="PartialObjectMetadataList") if metadata_only else JSON_TYPE
        query = {"limit": str(PAGE), "labelSelector": label_selector, "fieldSelector": field_selector}
        decoder = msgspec.json.Decoder(decode)
        path = resource.path(namespace=namespace)
        while True:
            body = await self.request("GET", path, query=query, headers={"Accept": accept})
            page = decoder.decode(body)
            yield page
            meta = page["metadata"] if isinstance(page, dict) else page.metadata
            token = meta.get("continue") if isinstance(meta, dict) else meta.continue_
            if not token:
                return
            query = {**query, "continue": token}

    async def create(self, obj: Obj, *, field_manager: str = USER_AGENT, dry_run: bool = False) -> Obj:
        """Create an object; raise AlreadyExists."""
        ref = ref_of(obj)
        path = resource_of(ref).path(namespace=ref.namespace)
        query = {"fieldManager": field_manager, **({"dryRun": "All"} if dry_run else {})}
        return await self._json("POST", path, query=query, body=obj)

    async def apply(
        self,
        obj: Obj,
        *,
        field_manager: str,
        force: bool = True,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Obj:
        """Server-side apply an object and return it as it is then."""
        ref = ref_of(obj)
        path = resource_of(ref).path(namespace=ref.namespace, name=ref.name, subresource=subresource)
        query = {"fieldManager": field_manager, "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        return await self._json("PATCH", path, query=query, body=obj, content_type=APPLY_TYPE)

    async def replace(self, obj: Obj, *, field_manager: str = USER_AGENT) -> Obj:
        """Replace an object as it was read; raise Conflict if it has changed since."""
        ref = ref_of(obj)
        path = resource_of(ref).path(namespace=ref.namespace, name=ref.name)
        return await self._json("PUT", path, query={"fieldManager": field_manager}, body=obj)

    async def patch(
        self, resource: Resource, name: str, patch: Obj, *, namespace: str = "", subresource: str = ""
    ) -> Obj:
        """Merge-patch an object (RFC 7386) and return it as it is then."""
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        query = {"fieldManager": USER_AGENT}
        return await self._json("PATCH", path, query=query, body=patch, content_type=MERGE_TYPE)

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        propagation: str = "Background",
        uid: str = "",
    ) -> None:
        """Delete an object; with ``uid`` only that very one, else raise Conflict."""
        options: Obj = {"propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        await self.request("DELETE", resource.path(namespace=namespace, name=name), body=options)

    async def pod_logs(
        self, namespace: str, name: str, *, container: str, tail_lines: int, previous: bool = False
    ) -> str:
        """Return the last lines of a container's log."""
        query = {"container": container, "tailLines": str(tail_lines), "previous": str(previous).lower()}
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/log"
        return (await self.request("GET", path, query=query, attempts=1)).decode(errors="replace")

    async def version(self) -> str:
        """Return the server's Kubernetes version, such as 1.36.3."""
        return str((await self._json("GET", "/version"))["gitVersion"]).removeprefix("v")

    async def api_groups(self) -> tuple[str, ...]:
        """Return the API groups that are served, sorted."""
        found = await self._json("GET", "/apis")
        return tuple(sorted(group["name"] for group in found["groups"]))

    async def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        resource_version: str,
        metadata_only: bool = False,
        server_timeout: int = 300,
        silence: float = SILENCE,
    ) -> AsyncIterator[bytes]:
        """Yield the events of a watch as JSON lines, until it ends.

        It ends when the server says so, or when nothing has been heard for ``silence`` seconds: a
        kind that never changes has no bookmarks either, so that alone is no error, but the
        connection may be dead. Raise Gone when ``resource_version`` is too old.
        """
        accept = METADATA_TYPE.format(kind="PartialObjectMetadata") if metadata_only else JSON_TYPE
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(server_timeout),
            "labelSelector": label_selector,
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence)
        session = await self._connected()
        try:
            async with session.get(
                self.connection.server + resource.path(namespace=namespace),
                params=query,
                headers={"Accept": accept, **await self.connection.headers()},
                timeout=timeout,
            ) as response:
                if response.status >= 400:
                    raise await self._refusal(response)
                async for line in response.content:
                    yield line
        except aiohttp.SocketTimeoutError:
            return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(self.connection.server, error) from error

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON_TYPE,
    ) -> Obj:
        answer = await self.request(
            method, path, query=query, headers=headers, body=body, content_type=content_type
        )
        return msgspec.json.decode(answer, type=Obj)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON_TYPE,
        attempts: int | None = None,
    ) -> bytes:
        """Send one request and return the body of the answer.

        What may be sent twice without harm is sent again when the server cannot be reached or fails
        inside; a 429 is waited out for every method, since the server has not begun then.
        """
        data = msgspec.json.encode(body) if body is not None else None
        repeatable = (
            method in ("GET", "PUT") or content_type in (APPLY_TYPE, MERGE_TYPE) or method == "DELETE"
        )
        last = attempts or self._attempts
        for attempt in range(1, last + 1):
            try:
                async with self._slots:
                    return await self._once(
                        method, path, query=query, headers=headers, data=data, content_type=content_type
                    )
            except Unauthorized:
                if attempt > 1:
                    raise
                self.connection.forget_credentials()
            except (TooManyRequests, Unavailable) as error:
                if attempt == last or not (repeatable or isinstance(error, TooManyRequests)):
                    raise
                await asyncio.sleep(pause_before(attempt, error))
        raise AssertionError("unreachable")  # the last attempt returns or raises

    async def _once(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        data: bytes | None,
        content_type: str,
    ) -> bytes:
        session = await self._connected()
        sent = {"Accept": JSON_TYPE, **(headers or {}), **await self.connection.headers()}
        if data is not None:
            sent["Content-Type"] = content_type
        try:
            async with session.request(
                method, self.connection.server + path, params=query, headers=sent, data=data
            ) as response:
                if response.status >= 400:
                    raise await self._refusal(response)
                return await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(self.connection.server, error) from error

    @staticmethod
    async def _refusal(response: aiohttp.ClientResponse) -> ApiError:
        """Turn an error response into the error that says what it means."""
        text = await response.read()
        try:
            body = msgspec.json.decode(text)
        except msgspec.DecodeError:
            body = {"message": text.decode(errors="replace").strip()[:500]}
        after = response.headers.get("Retry-After", "")
        return error_from(response.status, body, retry_after=float(after) if after.isdigit() else None)

    async def _connected(self) -> aiohttp.ClientSession:
        """Return the session; a new one when it is old or a certificate file has changed."""
        if self._session is not None and self._is_current():
            return self._session
        async with self._connecting:
            if self._session is not None and self._is_current():
                return self._session
            retired, self._session = self._session, await self._connect()
        if retired is not None:
            # Requests that are under way on the old connections may still end.
            asyncio.get_running_loop().call_later(TIMEOUT, lambda: asyncio.ensure_future(retired.close()))
        return self._session

    def _is_current(self) -> bool:
        young = time.monotonic() - self._session_made < CONNECTION_AGE
        return young and self.connection.certificate_state() == self._certificates

    async def _connect(self) -> aiohttp.ClientSession:
        self._session_made, self._certificates = time.monotonic(), self.connection.certificate_state()
        context = await asyncio.to_thread(self.connection.ssl_context)
        name = self.connection.cluster.get("tls-server-name")
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0, ttl_dns_cache=30),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT, sock_connect=10),
            headers={"User-Agent": USER_AGENT},
            read_bufsize=READ_BUFFER,
            **({"server_hostname": name} if name else {}),
        )


def pause_before(attempt: int, error: ApiError) -> float:
    """Return how long to wait before the next attempt, in seconds: as told, else longer each time."""
    if error.retry_after is not None:
        return error.retry_after * random.uniform(1.0, 1.25)  # noqa: S311 - spreads load, guards nothing
    return min(LAST_DELAY, FIRST_DELAY * 2.0**attempt) * random.uniform(0.5, 1.0)  # noqa: S311


def unavailable(server: str, error: BaseException) -> Unavailable:
    """Say that a server does not answer."""
    words = str(error) or type(error).__name__
    return Unavailable(status=503, reason="Unreachable", message=f"{server} does not answer: {words}")
