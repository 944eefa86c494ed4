"""A lock that one process holds on an API server, and that is lost when its holder falls silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from argosy.kube.client import Client
from argosy.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from argosy.kube.objects import LEASE, Obj

log = structlog.get_logger(__name__)

#: How long a silent holder keeps the lease, how often it is renewed, and how long before its end
#: the holder stops to rely on it, in seconds.
DURATION, RENEW_EVERY, MARGIN = 15.0, 4.0, 3.0


class Lease:
    """One coordination.k8s.io Lease, held by at most one identity at a time.

    Others judge a holder by how long they have seen its Lease unchanged, by their own clocks, so
    that clocks that disagree do no harm.
    """

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        duration: float = DURATION,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Lock ``namespace/name`` as ``identity``; ``duration`` in seconds."""
        self.identity = identity
        self.holder = ""
        self._client = client
        self._namespace, self._name = namespace, name
        self._duration = duration
        self._clock = clock
        self._renewed = -float("inf")
        self._seen: tuple[str, float] = ("", 0.0)

    def held(self) -> bool:
        """Tell, without a request, whether nobody else can hold the lease now."""
        return self.holder == self.identity and self._clock() < self._renewed + self._duration - MARGIN

    async def acquire(self) -> None:
        """Wait until the lease is held."""
        while not await self._try():  # noqa: ASYNC110 - what is awaited happens on the server
            await asyncio.sleep(self._duration / 5)

    async def hold(self) -> None:
        """Keep the lease; return when it is lost."""
        while self.held():
            await asyncio.sleep(min(RENEW_EVERY, self._duration / 4))
            try:
                if not await self._try():
                    return
            except ApiError as error:
                log.warning("lease not renewed", lease=self._name, error=str(error))

    async def release(self) -> None:
        """Give the lease up, so that another takes it at once."""
        if self.holder != self.identity:
            return
        self.holder = ""
        try:
            live = await self._client.get(LEASE, self._name, namespace=self._namespace)
            if live["spec"].get("holderIdentity") == self.identity:
                live["spec"]["holderIdentity"] = ""
                await self._client.replace(live)
        except (NotFound, Conflict):
            return

    async def _try(self) -> bool:
        """Take or renew the lease, unless somebody else holds it."""
        began = self._clock()
        try:
            live = await self._client.get(LEASE, self._name, namespace=self._namespace)
        except NotFound:
            live = None
        try:
            if live is None:
                await self._client.create(self._object())
            elif self._is_free(live):
                await self._client.replace(self._object(live))
            else:
                self.holder = live["spec"].get("holderIdentity", "")
                return False
        except (AlreadyExists, Conflict):
            return False
        self.holder = self.identity
        self._renewed = began  # counted from before the request: the server's time is not earlier
        return True

    def _is_free(self, live: Obj) -> bool:
        spec = live["spec"]
        if spec.get("holderIdentity", "") in ("", self.identity):
            return True
        version = live["metadata"]["resourceVersion"]
        if self._seen[0] != version:
            self._seen = (version, self._clock())
        return self._clock() > self._seen[1] + float(spec.get("leaseDurationSeconds", self._duration))

    def _object(self, live: Obj | None = None) -> Obj:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = live["spec"] if live else {}
        mine = before.get("holderIdentity") == self.identity
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._duration),
            "renewTime": now,
            "acquireTime": before.get("acquireTime", now) if mine else now,
            "leaseTransitions": before.get("leaseTransitions", 0) + (0 if mine or not live else 1),
        }
        if live is not None:
            return {**live, "spec": spec}
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }
