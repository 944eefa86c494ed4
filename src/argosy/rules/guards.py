"""What must hold before Argosy touches an Instance's target. Pure rules, listed in their order.

Each looks at the situation as it was gathered, and returns what is wrong, or None. `GUARDS` hold an
Instance back. `kubernetes_fits` does not: an Argo CD whose cluster has moved on must still be healed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from argosy.api.instance import Instance
from argosy.api.meta import condition
from argosy.api.reasons import InstanceReason as Reason
from argosy.api.release import Release
from argosy.api.target import Facts, Target

#: Redis with Sentinel spreads its members over nodes by a hard anti-affinity (upstream ha/install.yaml).
HIGH_AVAILABILITY_NODES = 3


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Everything that the guards look at; nothing of it is fetched by them.

    ``neighbours`` are the other Instances on the same Target.
    """

    instance: Instance
    target: Target | None
    release: Release | None
    neighbours: tuple[Instance, ...]
    facts: Facts
    connected: bool
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Why an Instance cannot go on, in words that say what to do."""

    reason: Reason
    message: str


def judge(situation: Situation) -> Finding | None:
    """Return the first thing that stands in the way, or None."""
    return next((finding for guard in GUARDS if (finding := guard(situation))), None)


def target_exists(s: Situation) -> Finding | None:
    """The Target is there."""
    if s.target is not None:
        return None
    return Finding(
        reason=Reason.TARGET_NOT_FOUND,
        message=f"no Target {s.instance.spec.target} in namespace {s.instance.metadata.namespace}; "
        f"create it with 'argosy target add {s.instance.spec.target}'",
    )


def owner_is_allowed(s: Situation) -> Finding | None:
    """The Target takes this team."""
    globs = s.target.spec.allowed.owners if s.target else []
    team = s.instance.spec.owner.team
    if not globs or any(fnmatchcase(team, glob) for glob in globs):
        return None
    return Finding(
        reason=Reason.NOT_ALLOWED,
        message=f"Target {s.instance.spec.target} takes instances of {', '.join(globs)}, not of {team}; "
        "ask a platform engineer to extend spec.allowed.owners of the Target",
    )


def size_is_allowed(s: Situation) -> Finding | None:
    """The Target takes this size."""
    sizes = s.target.spec.allowed.sizes if s.target else []
    if not sizes or s.instance.spec.size in sizes:
        return None
    return Finding(
        reason=Reason.NOT_ALLOWED,
        message=f"Target {s.instance.spec.target} takes the sizes {', '.join(sizes)}, "
        f"not {s.instance.spec.size}; choose one of them in spec.size",
    )


def namespaces_are_its_own(s: Situation) -> Finding | None:
    """No older Instance on the Target claims one of its namespaces."""
    for other in s.neighbours:
        if not older(other, s.instance):
            continue
        taken = sorted(claims(s.instance) & claims(other))
        if taken:
            return Finding(
                reason=Reason.NAMESPACE_TAKEN,
                message=f"namespace {taken[0]} on Target {s.instance.spec.target} belongs to Instance "
                f"{other.key}; choose others in spec.namespace, destinationNamespaces and sourceNamespaces",
            )
    return None


def release_exists(s: Situation) -> Finding | None:
    """The Release has been imported."""
    if s.release is not None:
        return None
    return Finding(
        reason=Reason.RELEASE_NOT_FOUND,
        message=f"no Release {s.instance.spec.version}; import it with 'argosy release import', "
        "or choose one that 'argosy release list' shows",
    )


def release_is_ready(s: Situation) -> Finding | None:
    """The Release is whole."""
    ready = condition(s.release.status.conditions, "Ready") if s.release else None
    if ready is None or ready.status != "False":
        return None
    return Finding(
        reason=Reason.RELEASE_NOT_READY,
        message=f"Release {s.instance.spec.version}: {ready.message}",
    )


def target_is_connected(s: Situation) -> Finding | None:
    """A worker reaches the Target and may write there."""
    if s.connected:
        return None
    ready = condition(s.target.status.conditions, "Ready") if s.target else None
    words = ready.message if ready and ready.status == "False" else "no worker serves it yet"
    return Finding(
        reason=Reason.TARGET_NOT_READY, message=f"Target {s.instance.spec.target} is not ready: {words}"
    )


def nodes_suffice(s: Situation) -> Finding | None:
    """High availability has the nodes that it needs."""
    nodes = s.facts.nodes
    if not s.instance.spec.high_availability or nodes >= HIGH_AVAILABILITY_NODES:
        return None
    return Finding(
        reason=Reason.HIGH_AVAILABILITY_NEEDS_NODES,
        message=f"spec.highAvailability needs {HIGH_AVAILABILITY_NODES} nodes, "
        f"Target {s.instance.spec.target} has {nodes}",
    )


GUARDS: tuple[Callable[[Situation], Finding | None], ...] = (
    target_exists,
    owner_is_allowed,
    size_is_allowed,
    namespaces_are_its_own,
    release_exists,
    release_is_ready,
    target_is_connected,
    nodes_suffice,
)


def kubernetes_fits(s: Situation) -> Finding | None:
    """The Target's Kubernetes is one that the Release is tested on."""
    kubernetes = s.facts.kubernetes
    tested = s.release.spec.kubernetes if s.release else None
    if not kubernetes or tested is None or minor(tested.min) <= minor(kubernetes) <= minor(tested.max):
        return None
    return Finding(
        reason=Reason.KUBERNETES_OUT_OF_RANGE,
        message=f"Argo CD {s.instance.spec.version} is tested on Kubernetes {tested.min} to {tested.max}, "
        f"Target {s.instance.spec.target} runs {kubernetes}; plan to move one of them",
    )


def claims(instance: Instance) -> set[str]:
    """Return all namespaces of the target that an Instance calls its own."""
    return {instance.namespace, *instance.destination_namespaces, *instance.spec.source_namespaces}


def older(one: Instance, other: Instance) -> bool:
    """Tell which of two Instances was there first; every worker answers alike."""
    return _age(one) < _age(other)


def _age(instance: Instance) -> tuple[str, str]:
    created = instance.metadata.creation_timestamp
    return (created.isoformat() if created else "", instance.key)


def minor(version: str) -> tuple[int, int]:
    """Return major and minor of a Kubernetes version such as 1.36.3 or v1.36."""
    major, minor_, *_ = version.removeprefix("v").split(".")
    return int(major), int(minor_)
