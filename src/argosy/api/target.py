"""``Target``: a place where Instances run."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from argosy.api.instance import Size
from argosy.api.meta import ApiStruct, Condition, ObjectMeta, rule


class ConnectionType(StrEnum):
    """How the worker that serves a Target comes to its API server."""

    LOCAL = "Local"
    PUSH = "Push"
    PULL = "Pull"


class SecretKey(ApiStruct, frozen=True, kw_only=True):
    """One key of a Secret in the Target's namespace."""

    name: Annotated[str, Meta(description="The Secret's name.", min_length=1)]
    key: Annotated[str, Meta(description="The key inside it.")] = "kubeconfig"


class Connection(ApiStruct, frozen=True, kw_only=True):
    """How the Target's API server is reached."""

    type: Annotated[
        ConnectionType,
        Meta(
            description="Local: the cluster that this object is in. Push: from here, by a kubeconfig. "
            "Pull: a worker over there connects to here."
        ),
    ] = ConnectionType.LOCAL
    kubeconfig: Annotated[SecretKey | None, Meta(description="With Push: where the kubeconfig is.")] = None


CONNECTION_RULES = [
    rule(
        "(self.type == 'Push') == has(self.kubeconfig)",
        "kubeconfig goes with type: Push, and Push needs it",
        fieldPath=".kubeconfig",
    )
]


class Registry(ApiStruct, frozen=True, kw_only=True):
    """Where the Target's nodes pull images from."""

    mirror: Annotated[
        str,
        Meta(
            description="Registry host, with a path if any, put in place of the images' own registries.",
            max_length=253,
        ),
    ] = ""
    pull_secrets: Annotated[
        list[str], Meta(description="Names of image pull Secrets in the instances' namespaces.")
    ] = field(default_factory=list)


class Allowed(ApiStruct, frozen=True, kw_only=True):
    """What may run on a Target; an empty list allows all."""

    owners: Annotated[list[str], Meta(description="Teams, globs allowed.")] = field(default_factory=list)
    sizes: Annotated[list[Size], Meta(description="Sizes.")] = field(default_factory=list)


class TargetSpec(ApiStruct, frozen=True, kw_only=True):
    """What a Target is like."""

    connection: Annotated[Connection, Meta(description="How its API server is reached.")] = Connection()
    registry: Annotated[Registry, Meta(description="Where its nodes pull images from.")] = Registry()
    allowed: Annotated[Allowed, Meta(description="What may run on it.")] = Allowed()


class Facts(ApiStruct, frozen=True, kw_only=True):
    """What Argosy found out about a Target."""

    kubernetes: Annotated[str, Meta(description="The version of its API server, for example 1.36.3.")] = ""
    nodes: Annotated[int, Meta(description="Nodes that are ready and take pods.")] = 0
    storage_classes: Annotated[list[str], Meta(description="Its StorageClasses.")] = field(
        default_factory=list
    )
    api_groups: Annotated[list[str], Meta(description="The API groups that it serves.")] = field(
        default_factory=list
    )


class TargetStatus(ApiStruct, frozen=True, kw_only=True):
    """What Argosy knows of a Target."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this tells of.")
    ] = 0
    conditions: Annotated[list[Condition], Meta(description="Ready, Reconciling, Stalled.")] = field(
        default_factory=list
    )
    facts: Annotated[Facts, Meta(description="What Argosy found out.")] = Facts()
    crds: Annotated[str, Meta(description="The release whose CRDs it holds.")] = ""
    worker: Annotated[str, Meta(description="The worker that serves it.")] = ""
    last_contact: Annotated[datetime | None, Meta(description="When the worker last reached it.")] = None
    instances: Annotated[int, Meta(description="How many Instances run on it.")] = 0


class Target(ApiStruct, frozen=True, kw_only=True):
    """A place where Instances run: how it is reached, what it offers, who may use it."""

    metadata: ObjectMeta
    spec: TargetSpec = TargetSpec()
    status: TargetStatus = TargetStatus()
