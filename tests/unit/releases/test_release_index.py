from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.releases import index
from argosy.releases.bundle import VARIANTS


def test_prereleases_are_ordered_as_semantic_versioning_says() -> None:
    ascending = (
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0"
    )
    assert all(index.order(a) < index.order(b) for a, b in pairwise(ascending.split()))


@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 3), unique=True))
def test_versions_are_ordered_as_numbers(triples) -> None:
    versions = [f"{a}.{b}.{c}" for a, b, c in sorted(triples)]
    shuffled = sorted(versions)
    assert sorted(shuffled, key=index.order) == versions


@pytest.mark.parametrize("text", ["", "3.6", "v3.6.1", "3.6.1.0", "latest", "٣.6.1", "3.6.1-", "3.6.1\n"])
def test_what_is_no_version_is_refused(text) -> None:
    with pytest.raises(ValueError, match="is not a version such as"):
        index.order(text)


def test_all_versions_come_oldest_first() -> None:
    versions = index.all_versions()
    assert len(versions) > 10
    assert list(versions) == sorted(versions, key=index.order)


@pytest.mark.parametrize("version", ["0.0.1", "../index/3.6.1", ""])
def test_a_version_that_is_not_listed_is_not_known(version) -> None:
    assert index.known(version) is None


@pytest.mark.parametrize("version", index.all_versions())
def test_every_listed_version_has_all_facts_with_their_sources(version) -> None:
    known = index.known(version)
    assert known is not None
    assert known.version == version
    assert known.module.endswith(f"@v{version}")
    assert known.checksum.startswith("h1:")
    assert set(VARIANTS.values()) < {file.path for file in known.files}
    assert set(known.content) == {"crds", *VARIANTS}
    assert f"quay.io/argoproj/argocd:v{version}" in known.images
    assert known.support_end is not None
    assert {"helm", "kustomize", "dex", "redis"} <= known.tools.keys()
    assert {"url", "accounts.*", "resource.customizations.*", "kustomize.version.*"} <= set(known.config_keys)
    assert {"server.insecure", "controller.status.processors"} <= set(known.param_keys)
    facts = {
        "checksum",
        "config_keys",
        "kubernetes",
        "module",
        "param_keys",
        "released",
        "support_end",
        "tools",
    }
    assert known.sources.keys() == facts


def test_support_of_a_newer_minor_never_ends_sooner() -> None:
    ends = [
        known.support_end for v in index.all_versions() if (known := index.known(v)) and known.support_end
    ]
    assert ends == sorted(ends)


def test_no_key_that_belongs_into_a_secret_is_listed_as_configuration() -> None:
    for version in index.all_versions():
        known = index.known(version)
        assert known is not None
        assert not {"server.secretkey", "admin.password", "tls.key", "webhook.github.secret"} & set(
            known.config_keys
        )
