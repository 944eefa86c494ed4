"""Reconcile one Release: say who vouches for its content."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from argosy.api.meta import set_condition
from argosy.api.release import ReleaseStatus
from argosy.controllers.source import RELEASE, Source
from argosy.controllers.status import StatusKey, StatusWriter
from argosy.releases.verify import verdict


class ReleaseController:
    """Verifies Releases as they come."""

    def __init__(self, source: Source, *, statuses: StatusWriter, clock: Callable[[], datetime]) -> None:
        """Read Releases from ``source``."""
        self._source = source
        self._statuses = statuses
        self._clock = clock

    def reconcile(self, key: str) -> None:
        """Judge one Release, and tell."""
        release = self._source.releases.objects.get(key)
        if release is None:
            return
        judged = verdict(release)
        conditions = set_condition(
            release.status.conditions,
            "Ready",
            status=judged.ok,
            reason=judged.reason,
            message=judged.message,
            now=self._clock(),
            generation=release.metadata.generation,
        )
        if conditions != release.status.conditions:
            self._statuses.put(StatusKey(RELEASE, "", key), ReleaseStatus(conditions=conditions))
