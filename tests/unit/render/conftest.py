"""Real manifests of several Argo CD versions, from the Go module cache (downloaded if not there)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from argosy.releases import importer, index, sources
from argosy.releases.bundle import Bundle, unpack
from devcluster.build import go_binary

#: The oldest known version, the last of each major line that is still met, and the newest.
VERSIONS = ("2.11.0", "2.14.21", "3.0.23", "3.2.6", "3.6.1")


@pytest.fixture(scope="session")
def bundle_of(pytestconfig: pytest.Config) -> Callable[[str], Bundle]:
    """Return a version's manifests; reading upstream's YAML takes seconds, so the result is kept."""
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir("argocd-manifests")

    @cache
    def load(version: str) -> Bundle:
        known = index.known(version)
        assert known is not None
        file = kept / f"{known.content['cluster'][:16]}.json"
        if not file.exists():
            file.write_bytes(msgspec.json.encode(imported(known.module)))
        return msgspec.json.decode(file.read_bytes(), type=Bundle)

    return load


def imported(module: str) -> Bundle:
    with TemporaryDirectory() as nowhere:  # outside of any module
        command = [go_binary(), "mod", "download", "-json", module]
        answer = subprocess.run(command, check=True, capture_output=True, cwd=nowhere).stdout
    files = sources.read(Path(json.loads(answer)["Dir"]))
    return unpack(importer.release_of(files, source=module, trust=False))


@pytest.fixture(params=VERSIONS)
def bundle(request: pytest.FixtureRequest, bundle_of: Callable[[str], Bundle]) -> Bundle:
    """Give the manifests of each version in turn."""
    return bundle_of(request.param)


@pytest.fixture
def newest(bundle_of: Callable[[str], Bundle]) -> Bundle:
    return bundle_of(VERSIONS[-1])
