from __future__ import annotations

import asyncio
import json
import subprocess
import time

import msgspec
import pytest
import yaml

from argosy.api.release import Release
from argosy.releases import index
from argosy.releases.bundle import Bundle, ReleaseError, pack, unpack
from argosy.releases.importer import import_release, release_of
from argosy.releases.verify import Reason, verdict
from devcluster.build import go_binary
from tests.unit.releases.small import VERSION, crd, tree, workload


def imported(files: dict[str, bytes], *, trust: bool = False) -> Release:
    return release_of(files, source="test", trust=trust)


def changed(files: dict[str, bytes], path: str, old: bytes, new: bytes) -> dict[str, bytes]:
    assert old in files[path]
    return {**files, path: files[path].replace(old, new, 1)}


@pytest.mark.usefixtures("listed")
async def test_a_known_release_is_imported_with_what_the_index_says_about_it(folder) -> None:
    release = await import_release(str(folder), trust=False)
    spec = release.spec
    assert (release.metadata.name, spec.version, spec.source) == (VERSION, VERSION, str(folder))
    assert spec.kubernetes is not None
    assert (spec.kubernetes.min, spec.kubernetes.max, spec.support_end) == ("1.34", "1.37", "2027-08-03")
    assert spec.config_keys == ["accounts.*", "url"]
    assert spec.images == [
        "public.ecr.aws/docker/library/redis:8.10.1-alpine",
        f"quay.io/argoproj/argocd:v{VERSION}",
    ]
    assert not spec.trust
    assert verdict(release)[:2] == (True, Reason.VERIFIED)


@pytest.mark.usefixtures("listed")
def test_the_crds_stand_once_and_in_no_variant(files) -> None:
    bundle = unpack(imported(files))
    names = [each["metadata"]["name"] for each in bundle.custom_resource_definitions()]
    assert names == ["applications.argoproj.io", "appprojects.argoproj.io"]
    kinds = {name: {each["kind"] for each in bundle.objects(name)} for name in bundle.variants}
    assert kinds == {
        "cluster": {"ClusterRole", "Deployment", "StatefulSet"},
        "cluster-ha": {"ClusterRole", "Deployment", "StatefulSet"},
        "namespaced": {"Deployment", "StatefulSet"},
        "namespaced-ha": {"Deployment", "StatefulSet"},
    }


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(("path", "variant"), [("install", "cluster"), ("ha/install", "cluster-ha")])
def test_a_single_file_is_the_variant_that_its_content_says(files, path, variant) -> None:
    release = imported({"argocd.yaml": files[f"manifests/{path}.yaml"]})
    assert list(unpack(release).variants) == [variant]
    assert [file.path for file in release.spec.files] == [f"manifests/{path}.yaml"]
    assert verdict(release).reason is Reason.VERIFIED


@pytest.mark.parametrize("path", sorted(tree()))
def test_a_file_that_differs_from_what_upstream_published_is_named(files, listed, path) -> None:
    with pytest.raises(ReleaseError) as refusal:
        imported({**files, path: files[path] + b"\n"})
    expected = next(file.sha256 for file in listed.files if file.path == path)
    assert str(refusal.value).startswith(f"{path} is not what upstream published for Argo CD {VERSION}")
    assert f"expected is {expected}" in str(refusal.value)


@pytest.mark.usefixtures("listed")
def test_trust_does_not_excuse_a_known_version_with_other_content(files) -> None:
    with pytest.raises(ReleaseError, match="need a version of their own"):
        imported(changed(files, "manifests/install.yaml", b"redis:8", b"redis:7"), trust=True)


@pytest.mark.usefixtures("listed")
def test_the_folder_of_one_variant_is_told_from_the_whole(files) -> None:
    with pytest.raises(
        ReleaseError, match=r"is upstream's manifests/ha/install\.yaml: give the folder above"
    ):
        imported({**files, "manifests/install.yaml": files["manifests/ha/install.yaml"]})


def test_a_version_that_the_index_does_not_list_needs_trust(files) -> None:
    with pytest.raises(ReleaseError, match=rf"Argo CD {VERSION}, which the index .* --trust"):
        imported(files)
    release = imported(files, trust=True)
    assert release.spec.trust
    assert verdict(release)[:2] == (True, Reason.TRUSTED)


@pytest.mark.usefixtures("listed")
def test_a_known_release_is_not_marked_as_trusted_where_trust_was_not_needed(files) -> None:
    assert not imported(files, trust=True).spec.trust


def test_files_of_two_versions_are_refused(files) -> None:
    mixed = {**files, "manifests/ha/install.yaml": tree("9.9.8")["manifests/ha/install.yaml"]}
    with pytest.raises(ReleaseError, match=r"several versions: .*ha/install.yaml of 9\.9\.8"):
        imported(mixed, trust=True)


def test_a_crd_that_differs_between_two_files_is_refused(files) -> None:
    other = yaml.safe_dump(crd("applications", scope="Cluster")).encode()
    with pytest.raises(ReleaseError, match=r"disagree on the CRD applications\.argoproj\.io"):
        imported({**files, "manifests/crds/application-crd.yaml": other}, trust=True)


def test_manifests_without_crds_are_refused(files) -> None:
    with pytest.raises(ReleaseError, match=r"no CRDs in manifests/namespace-install\.yaml: add upstream's"):
        imported({"argocd.yaml": files["manifests/namespace-install.yaml"]}, trust=True)


def test_a_file_that_was_cut_between_two_documents_is_refused(files) -> None:
    install = files["manifests/install.yaml"]
    cut = install[: install.rindex(b"---")]
    with pytest.raises(ReleaseError, match=r"no complete Argo CD.*lacks argocd-application-controller"):
        imported({"install.yaml": cut}, trust=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"<!DOCTYPE html>\n<html>", "is a web page, not a manifest: use the address of the raw file"),
        (b"kind: A\n  - b: [", r"install.yaml, line 2, column 6: not readable as YAML .* fetch it again"),
        (b"\xff\xfe\x00", "not readable as YAML"),
        (b"kind: !!python/object:os.system {}", "not readable as YAML"),
        (
            b"- 1",
            "install.yaml, document 1: not a Kubernetes object: apiVersion, kind or metadata is missing",
        ),
        (b"{apiVersion: v1, kind: A, metadata: {}}", "document 1: A without a name"),
        (b"{apiVersion: v1, kind: A, metadata: {name: a}, on: 1}", "a key is not text: True"),
        (b"{apiVersion: v1, kind: A, metadata: {name: a}, x: !!binary aGk=}", "type bytes has no place"),
        (b"{apiVersion: v1, kind: A, metadata: &a {name: a, b: *a}}", "more than"),
        (b"", "no complete Argo CD installation"),
    ],
)
def test_what_is_no_manifest_is_refused_with_where_and_why(text, message) -> None:
    with pytest.raises(ReleaseError, match=message):
        imported({"install.yaml": text}, trust=True)


@pytest.mark.parametrize(
    "image",
    ["quay.io/argoproj/argocd:latest", "quay.io/argoproj/argocd:v3.6", "quay.io:443/argoproj/argocd", ""],
)
def test_an_installation_whose_version_cannot_be_told_is_refused(files, image) -> None:
    objects = [
        o
        for o in yaml.safe_load_all(files["manifests/install.yaml"])
        if o["metadata"]["name"] != "argocd-server"
    ]
    untold = [workload("argocd-server", image), *objects]
    with pytest.raises(ReleaseError, match=r"has no version such as v3\.6\.1 for its tag"):
        imported({"manifests/install.yaml": yaml.safe_dump_all(untold).encode()}, trust=True)


@pytest.mark.usefixtures("listed")
def test_a_stored_release_whose_content_was_edited_is_corrupt_even_with_a_fitting_digest(files) -> None:
    release = imported(files)
    bundle = unpack(release)
    objects = bundle.objects("cluster")
    objects[0]["metadata"]["name"] = "mine"
    forged = Bundle.of(VERSION, crds=bundle.custom_resource_definitions(), variants={"cluster": objects})
    content, digest = pack(forged)
    spec = msgspec.structs.replace(release.spec, content=content, digest=digest)
    ok, reason, message = verdict(msgspec.structs.replace(release, spec=spec))
    assert (ok, reason) == (False, Reason.CORRUPT)
    assert "not what upstream published: cluster" in message


def test_a_stored_release_that_nobody_vouches_for_is_unknown(files) -> None:
    release = imported(files, trust=True)
    spec = msgspec.structs.replace(release.spec, trust=False)
    assert verdict(msgspec.structs.replace(release, spec=spec))[:2] == (False, Reason.UNKNOWN)


def test_a_stored_release_that_was_damaged_is_corrupt(files) -> None:
    release = imported(files, trust=True)
    spec = msgspec.structs.replace(release.spec, content=release.spec.content[:-8])
    assert verdict(msgspec.structs.replace(release, spec=spec))[:2] == (False, Reason.CORRUPT)


@pytest.mark.upstream
@pytest.mark.parametrize("version", ["3.6.1"])
def test_upstreams_own_release_is_verified_small_and_quick_to_read(version, tmp_path) -> None:
    known = index.known(version)
    assert known is not None
    command = [go_binary(), "mod", "download", "-json", known.module]
    module = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=tmp_path).stdout)
    assert module["Sum"] == known.checksum
    release = asyncio.run(import_release(module["Dir"], trust=False))
    assert verdict(release)[:2] == (True, Reason.VERIFIED)
    assert {file.path for file in release.spec.files} == {file.path for file in known.files}
    # An API server takes objects up to 1.5 MB.
    assert len(msgspec.json.encode(release)) < 100_000
    began = time.process_time()
    objects = unpack(release).objects("cluster")
    assert time.process_time() - began < 0.05
    assert {"argocd-server", "argocd-redis"} <= {o["metadata"]["name"] for o in objects}
    zipped = asyncio.run(import_release(module["Zip"], trust=False))
    assert zipped.spec == msgspec.structs.replace(release.spec, source=module["Zip"])
