from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.api.meta import ObjectMeta
from argosy.api.release import Release, ReleaseSpec
from argosy.releases import bundle as bundles
from argosy.releases.bundle import Bundle, ReleaseError, pack, unpack, zstd

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=3)


def stored(bundle: Bundle, **changed: str) -> Release:
    content, digest = pack(bundle)
    spec = ReleaseSpec(version=bundle.version, source="test", digest=digest, content=content)
    return Release(metadata=ObjectMeta(name=bundle.version), spec=msgspec.structs.replace(spec, **changed))


SMALL = Bundle.of("1.2.3", crds=[{"kind": "A"}], variants={"cluster": [{"kind": "B", "list": [1]}]})


@given(crds=OBJECTS, variants=st.dictionaries(st.text(), OBJECTS, max_size=3))
def test_what_was_packed_is_what_comes_out(crds, variants) -> None:
    back = unpack(stored(Bundle.of("1.2.3", crds=crds, variants=variants)))
    assert back.custom_resource_definitions() == crds
    assert {name: back.objects(name) for name in back.variants} == variants


@given(variants=st.dictionaries(st.text(), OBJECTS, max_size=3))
def test_the_digest_does_not_depend_on_the_order_of_keys(variants) -> None:
    turned = {
        name: [dict(reversed(obj.items())) for obj in objects] for name, objects in reversed(variants.items())
    }
    one, other = (Bundle.of("1.2.3", crds=[], variants=v) for v in (variants, turned))
    assert pack(one) == pack(other)


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_no_changed_byte_goes_unnoticed(at, byte) -> None:
    release = stored(SMALL)
    packed = bytearray(base64.b64decode(release.spec.content))
    packed[at % len(packed)] = byte
    changed = stored(SMALL, content=base64.b64encode(packed).decode())
    try:
        result = unpack(changed)
    except ReleaseError:
        return
    # Some bits of the frame's header mean nothing: what counts is that the manifests are the same.
    assert result == SMALL


@given(length=st.integers(0, 200))
def test_content_that_was_cut_is_refused(length) -> None:
    release = stored(SMALL)
    cut = release.spec.content[: min(length, len(release.spec.content) - 4)]
    with pytest.raises(ReleaseError, match=r"Release 1\.2\.3 is damaged.*import it again"):
        unpack(stored(SMALL, content=cut))


def test_content_of_another_version_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"it is that of version 1\.2\.3"):
        unpack(stored(SMALL, version="1.2.4"))


def test_content_that_is_no_bundle_is_refused() -> None:
    plain = b'{"version": "1.2.3"}'
    packed = base64.b64encode(zstd.compress(plain)).decode()
    with pytest.raises(ReleaseError, match="is damaged"):
        unpack(stored(SMALL, content=packed, digest=bundles._sha256(plain)))


def test_content_that_unpacks_to_more_than_any_release_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(bundles, "MAX_UNPACKED", 1000)
    bomb = base64.b64encode(zstd.compress(bytes(1_000_000))).decode()
    assert len(bomb) < 200
    with pytest.raises(ReleaseError, match="larger than"):
        unpack(stored(SMALL, content=bomb))


def test_something_behind_the_content_is_refused() -> None:
    longer = base64.b64decode(stored(SMALL).spec.content) + b"more"
    with pytest.raises(ReleaseError, match="follows its end"):
        unpack(stored(SMALL, content=base64.b64encode(longer).decode()))


def test_objects_belong_to_whoever_asked_for_them() -> None:
    mine = SMALL.objects("cluster")
    mine[0]["list"].append(2)
    assert SMALL.objects("cluster") == [{"kind": "B", "list": [1]}]


def test_a_variant_that_was_not_imported_is_named_with_those_that_were() -> None:
    with pytest.raises(ReleaseError, match=r"no manifests for the variant namespaced-ha \(it has: cluster\)"):
        SMALL.objects("namespaced-ha")


@pytest.mark.parametrize("cluster_wide", [True, False])
@pytest.mark.parametrize("high_availability", [True, False])
def test_every_instance_has_a_variant(cluster_wide, high_availability) -> None:
    name = bundles.variant(cluster_wide=cluster_wide, high_availability=high_availability)
    path = bundles.VARIANTS[name]
    assert path.endswith("/install.yaml") == cluster_wide
    assert ("/ha/" in path) == high_availability
