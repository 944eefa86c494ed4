"""The small Argo CD as files, and listed in the index."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest

from argosy.api.release import KubernetesRange, ManifestFile
from argosy.releases import index, manifests
from argosy.releases.index import KnownRelease
from tests.unit.releases.small import VERSION, tree


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "upstream: reads upstream's Go module, downloaded if Go has not cached it"
    )


@pytest.fixture
def files() -> dict[str, bytes]:
    return tree()


@pytest.fixture
def folder(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """Upstream's layout on disk, with a neighbour that is no manifest of ours."""
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    (tmp_path / "manifests/crds/kustomization.yaml").write_text("resources: []\n")
    return tmp_path


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> KnownRelease:
    """The small Argo CD, listed in the index."""
    bundle = manifests.bundle_of({path: manifests.parse(path, data) for path, data in files.items()})
    release = KnownRelease(
        version=VERSION,
        module=f"example.org/argo-cd@v{VERSION}",
        checksum="h1:",
        released=date(2026, 1, 1),
        files=[ManifestFile(path=p, sha256=hashlib.sha256(data).hexdigest()) for p, data in files.items()],
        content=bundle.digests(),
        images=manifests.images_of(bundle),
        kubernetes=KubernetesRange(min="1.34", max="1.37"),
        support_end=date(2027, 8, 3),
        config_keys=["accounts.*", "url"],
    )
    monkeypatch.setattr(index, "known", {VERSION: release}.get)
    return release
