"""``Release``: one Argo CD version, ready to install anywhere."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from argosy.api.instance import VERSION_PATTERN
from argosy.api.meta import ApiStruct, Condition, ObjectMeta, rule


class KubernetesRange(ApiStruct, frozen=True, kw_only=True):
    """Kubernetes minors on which a release is tested, both ends included."""

    min: Annotated[str, Meta(description="The oldest, for example 1.34.", pattern=r"^[0-9]+\.[0-9]+$")]
    max: Annotated[str, Meta(description="The newest, for example 1.37.", pattern=r"^[0-9]+\.[0-9]+$")]


class ManifestFile(ApiStruct, frozen=True, kw_only=True):
    """One upstream file from which a release was imported."""

    path: Annotated[str, Meta(description="Its path upstream, for example manifests/install.yaml.")]
    sha256: Annotated[str, Meta(description="Its digest.", pattern="^[0-9a-f]{64}$")]


class ReleaseSpec(ApiStruct, frozen=True, kw_only=True):
    """What was imported."""

    version: Annotated[str, Meta(description="The Argo CD version.", pattern=VERSION_PATTERN)]
    source: Annotated[str, Meta(description="Where it was imported from.")]
    digest: Annotated[
        str, Meta(description="SHA-256 of the content before compression.", pattern="^[0-9a-f]{64}$")
    ]
    content: Annotated[str, Meta(description="The manifests: base64 of zstd of JSON.")]
    trust: Annotated[
        bool, Meta(description="Imported although the index of known versions does not vouch for it.")
    ] = False
    files: Annotated[list[ManifestFile], Meta(description="The upstream files and their digests.")] = field(
        default_factory=list
    )
    images: Annotated[list[str], Meta(description="All images that it names.")] = field(default_factory=list)
    kubernetes: Annotated[
        KubernetesRange | None, Meta(description="Kubernetes versions on which it is tested.")
    ] = None
    support_end: Annotated[str, Meta(description="When upstream support ends, if known (YYYY-MM-DD).")] = ""
    config_keys: Annotated[list[str], Meta(description="Keys of argocd-cm that it knows, globs allowed.")] = (
        field(default_factory=list)
    )
    param_keys: Annotated[list[str], Meta(description="Keys of argocd-cmd-params-cm that it knows.")] = field(
        default_factory=list
    )


IMMUTABLE_SPEC = rule(
    "self == oldSelf", "a Release cannot change: import another version, or delete it first"
)


class ReleaseStatus(ApiStruct, frozen=True, kw_only=True):
    """What Argosy thinks of it."""

    conditions: Annotated[list[Condition], Meta(description="Ready; its reason says who vouches for it.")] = (
        field(default_factory=list)
    )


class Release(ApiStruct, frozen=True, kw_only=True):
    """One Argo CD version: its manifests, compressed and verified, and the facts about it."""

    metadata: ObjectMeta
    spec: ReleaseSpec
    status: ReleaseStatus = ReleaseStatus()
