from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest

from argosy.releases import sources
from argosy.releases.bundle import ReleaseError


def tar(entries: dict[str, bytes], mode: str = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def zipped(entries: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return packed.getvalue()


def below(root: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{root}{path}": data for path, data in files.items()}


@pytest.mark.parametrize("inner", ["", "manifests"])
def test_a_folder_is_read_with_upstreams_layout_or_as_its_manifests_folder(folder, files, inner) -> None:
    assert sources.read(folder / inner) == files


@pytest.mark.parametrize("root", ["", "./", "argo-cd-9.9.9/", "github.com/argoproj/argo-cd/v9@v9.9.9/"])
@pytest.mark.parametrize("pack", [tar, zipped, lambda entries: tar(entries, "w")])
def test_an_archive_is_read_wherever_upstreams_tree_stands_in_it(files, root, pack) -> None:
    entries = {
        **below(root, files),
        f"{root}examples/manifests/install.yaml": b"another",
        f"{root}manifests/core-install.yaml": b"no variant of ours",
        f"{root}manifests/crds/kustomization.yaml": b"no CRD",
        f"{root}README.md": b"text",
    }
    assert sources.unpack("argo-cd", pack(entries)) == files


def test_a_single_file_keeps_its_own_name(tmp_path) -> None:
    (tmp_path / "argocd.yml").write_bytes(b"kind: A")
    assert sources.read(tmp_path / "argocd.yml") == {"argocd.yml": b"kind: A"}


@pytest.mark.parametrize("name", ["../manifests/install.yaml", "/etc/manifests/install.yaml", "a/../../b"])
@pytest.mark.parametrize("pack", [tar, zipped])
def test_a_path_that_leads_out_of_an_archive_is_refused(name, pack) -> None:
    with pytest.raises(ReleaseError, match="leads out of it"):
        sources.unpack("bad", pack({name: b"kind: A"}))


def test_a_link_in_an_archive_is_not_followed() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("manifests/install.yaml")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ReleaseError, match="holds no Argo CD manifests"):
        sources.unpack("bad", packed.getvalue())


@pytest.mark.parametrize("pack", [tar, zipped])
def test_an_archive_that_unpacks_to_a_giant_file_is_refused(pack, monkeypatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILE", 1000)
    with pytest.raises(ReleaseError, match=r"install\.yaml is larger than"):
        sources.unpack("bomb", pack({"manifests/install.yaml": bytes(1_000_000)}))


def test_an_archive_of_giant_files_that_nobody_wants_is_refused_too(files, monkeypatch) -> None:
    monkeypatch.setattr(sources, "MAX_UNPACKED", 100_000)
    with pytest.raises(ReleaseError, match="bomb, unpacked, is larger than"):
        sources.unpack("bomb", tar({"movie": bytes(1_000_000), **files}))


@pytest.mark.parametrize("pack", [tar, zipped])
def test_an_archive_that_was_cut_short_is_refused(files, pack) -> None:
    packed = pack(files)
    with pytest.raises(ReleaseError, match=r"damaged archive.*fetch it again"):
        sources.unpack("cut", packed[: len(packed) // 2])


def test_a_compressed_file_that_is_no_archive_is_refused() -> None:
    with pytest.raises(ReleaseError, match="damaged archive"):
        sources.unpack("install.yaml.gz", gzip.compress(b"kind: A" * 1000))


def test_a_folder_without_manifests_says_what_is_wanted(tmp_path) -> None:
    with pytest.raises(ReleaseError, match=r"wanted is a folder with manifests/install\.yaml in it"):
        sources.read(tmp_path)


def test_a_path_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(ReleaseError, match="nowhere cannot be read: No such file"):
        sources.read(tmp_path / "nowhere")
