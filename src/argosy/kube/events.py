"""Tell people what happened to an object, as Kubernetes Events; telling never gets in the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime

import structlog

from argosy.kube.client import Client
from argosy.kube.errors import ApiError, NotFound
from argosy.kube.objects import EVENT, Obj

log = structlog.get_logger(__name__)

MESSAGE_LIMIT = 1024


class Recorder:
    """Writes Events about objects of one API server; the same news is counted, not repeated."""

    def __init__(self, client: Client, *, component: str, clock: Callable[[], datetime]) -> None:
        """Write as ``component``."""
        self._client = client
        self._component = component
        self._clock = clock

    async def tell(self, about: Obj, *, reason: str, message: str, warning: bool = False) -> None:
        """Write one Event about an object (its apiVersion, kind and metadata are enough)."""
        meta = about["metadata"]
        namespace = meta.get("namespace") or "default"
        message = message[:MESSAGE_LIMIT]
        digest = hashlib.blake2b(f"{meta.get('uid')}{reason}{message}".encode(), digest_size=8).hexdigest()
        name = f"{meta['name'][:200]}.{digest}"
        now = self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            try:
                known = await self._client.get(EVENT, name, namespace=namespace)
                again = {"count": known.get("count", 1) + 1, "lastTimestamp": now}
                await self._client.patch(EVENT, name, again, namespace=namespace)
            except NotFound:
                await self._client.create(
                    {
                        "apiVersion": "v1",
                        "kind": "Event",
                        "metadata": {"name": name, "namespace": namespace},
                        "involvedObject": {
                            "apiVersion": about["apiVersion"],
                            "kind": about["kind"],
                            "name": meta["name"],
                            "namespace": meta.get("namespace", ""),
                            "uid": meta.get("uid", ""),
                        },
                        "reason": reason,
                        "message": message,
                        "type": "Warning" if warning else "Normal",
                        "count": 1,
                        "firstTimestamp": now,
                        "lastTimestamp": now,
                        "source": {"component": self._component},
                    }
                )
        except ApiError as error:
            log.debug("event not written", reason=reason, error=str(error))
