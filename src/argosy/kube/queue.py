"""A queue of keys: each at most once, one worker a key, with priorities, delays and backoff."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF, LAST_BACKOFF = 0.5, 300.0
#: A key that a person waits for goes before one that is only looked at again.
FRESH, RESYNC = 0, 1


class KeyedQueue(Generic[K]):
    """Keys to be worked on. A key added while a worker has it is handed out again afterwards."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """Read the time, in seconds, from ``clock`` (default: the event loop's)."""
        self._clock = clock
        self._ready: list[tuple[int, int, K]] = []
        self._queued: dict[K, int] = {}
        self._busy: set[K] = set()
        self._again: dict[K, int] = {}
        self._failures: dict[K, int] = {}
        self._timers: dict[K, tuple[float, asyncio.TimerHandle]] = {}
        self._order = itertools.count()
        self._wake = asyncio.Event()

    def add(self, key: K, priority: int = FRESH) -> None:
        """Have a key worked on as soon as a worker is free."""
        if key in self._busy:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        known = self._queued.get(key)
        if known is not None and known <= priority:
            return
        self._queued[key] = priority
        heapq.heappush(self._ready, (priority, next(self._order), key))
        self._wake.set()

    def add_after(self, key: K, delay: float, priority: int = RESYNC) -> None:
        """Have a key worked on in ``delay`` seconds; of several such times the earliest counts."""
        if delay <= 0:
            self.add(key, priority)
            return
        now = self._now()
        planned = self._timers.get(key)
        if planned is not None:
            if planned[0] <= now + delay:
                return
            planned[1].cancel()
        handle = asyncio.get_running_loop().call_later(delay, self._due, key, priority)
        self._timers[key] = (now + delay, handle)

    def retry(self, key: K) -> float:
        """Have a failed key worked on later, each time later than the last; return the delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(LAST_BACKOFF, FIRST_BACKOFF * 2.0**failures)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Note that a key succeeded: its next failure is its first."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Wait for a key; the caller must call `done` with it."""
        while True:
            while self._ready:
                priority, _, key = heapq.heappop(self._ready)
                if self._queued.get(key) != priority:
                    continue  # queued anew with another priority
                del self._queued[key]
                self._busy.add(key)
                return key
            self._wake.clear()
            await self._wake.wait()

    def done(self, key: K) -> None:
        """Note that a worker is through with a key."""
        self._busy.discard(key)
        if key in self._again:
            self.add(key, self._again.pop(key))

    def __len__(self) -> int:
        """Return how many keys wait for a worker."""
        return len(self._queued)

    def _due(self, key: K, priority: int) -> None:
        self._timers.pop(key, None)
        self.add(key, priority)

    def _now(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()
