import tarfile

import pytest

from devcluster import cache, images, oci
from devcluster.oci import File


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


FILES = {
    "usr/bin/b": File(content=b"b"),
    "usr/bin/a": File(link="b"),
    "data": File(owner=999),
    "etc/c": File(content=b"c", mode=0o644),
}


def test_the_same_files_make_the_same_layer_in_whatever_order():
    one = oci.layer("one", FILES)
    other = oci.layer("other", dict(reversed(FILES.items())))
    assert one.path != other.path
    assert one.digest == other.digest


def test_a_layer_holds_files_links_and_folders_with_their_owners():
    with tarfile.open(oci.layer("one", FILES).path) as tar:
        found = {entry.name: entry for entry in tar}
        assert tar.extractfile("usr/bin/b").read() == b"b"
    assert found["usr/bin/a"].linkname == "b"
    assert found["data"].isdir()
    assert found["data"].uid == 999
    assert found["etc/c"].mode == 0o644


def test_a_change_of_content_owner_or_mode_changes_the_layer():
    changed = [File(content=b"x"), File(content=b"b", owner=1), File(content=b"b", mode=0o600)]
    digests = {images.layer("l", {**FILES, "usr/bin/b": file}).digest for file in changed}
    assert images.layer("l", FILES).digest not in digests
    assert len(digests) == 3


def test_an_image_names_its_layers_in_order_in_config_and_manifest():
    layers = [oci.layer("one", FILES), oci.layer("two", {"x": File(content=b"x")})]
    image = oci.Image(layers=layers, start={"User": "999"})
    digests = [layer.digest for layer in layers]
    assert [each.decode() for each in digests_in(image.config())] == digests
    assert oci.digest(image.config()).encode() in image.manifest()


def digests_in(config):
    return [
        part.strip(b'"[] ') for part in config.partition(b'"diff_ids": ')[2].partition(b"]")[0].split(b",")
    ]


def test_image_names_are_read_from_the_manifests_of_a_version(tmp_path):
    (tmp_path / "ha").mkdir()
    (tmp_path / "install.yaml").write_text(
        "- image: redis:7.0-alpine\n  image: quay.io/argoproj/argocd:v9\n  description: an image: x\n"
    )
    (tmp_path / "ha" / "install.yaml").write_text("        image: quay.io/argoproj/argocd:v9\n")
    assert images.image_names(tmp_path) == ["quay.io/argoproj/argocd:v9", "redis:7.0-alpine"]


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("redis:7", "docker.io/library/redis:7"),
        ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
        ("quay.io/argoproj/argocd:v1", "quay.io/argoproj/argocd:v1"),
        ("localhost:5000/a:1", "localhost:5000/a:1"),
    ],
)
def test_a_short_image_name_is_of_docker_hub(short, full):
    assert images.qualified(short) == full


def test_versions_are_ordered_by_number_not_by_text(monkeypatch):
    monkeypatch.setattr(
        images, "load_parts", lambda: dict.fromkeys(["argocd-3.9.1", "argocd-3.10.0", "etcd"])
    )
    assert images.argocd_versions() == ["3.10.0", "3.9.1"]


def test_a_version_that_cannot_be_built_is_refused_with_those_that_can():
    with pytest.raises(ValueError, match=r"no Argo CD 1\.0\.0 here; there is 3\."):
        images.serve_argocd(["1.0.0"])


def test_a_builder_that_died_leaves_no_entry_and_its_rest_is_cleared():
    with pytest.raises(KeyboardInterrupt):
        build_and_die()
    parent = cache.cache_dir() / "k"
    assert not (parent / "one").exists()
    (parent / ".one.killed").mkdir()
    with cache.entry("k", "one") as (_, scratch):
        (scratch / "whole").write_text("")
    assert sorted(path.name for path in parent.iterdir()) == [".one.lock", "one"]
    with cache.entry("k", "one") as (_, scratch):
        assert scratch is None


def build_and_die():
    with cache.entry("k", "one") as (_, scratch):
        (scratch / "half").write_text("")
        raise KeyboardInterrupt
