"""Where built parts live: the user's cache folder, one entry a key, made whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """Return the folder for everything that can be built again (XDG base directory rules)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "argosy-devcluster"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def entry(kind: str, key: str) -> Iterator[tuple[Path, Path | None]]:
    """Yield ``(final, scratch)`` of one cache entry; ``scratch`` is None when it exists already.

    What the caller writes into ``scratch`` becomes ``final`` by one rename at the end, so a killed
    build leaves no entry that looks finished. A file lock keeps two builders of one entry apart.
    """
    parent = cache_dir() / kind
    parent.mkdir(parents=True, exist_ok=True)
    final = parent / key
    with (parent / f".{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.exists():
            yield final, None
            return
        for stale in set(parent.glob(f".{key}.*")) - {Path(lock.name)}:  # of a builder that was killed
            shutil.rmtree(stale)
        scratch = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=parent))
        try:
            yield final, scratch
            scratch.rename(final)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
