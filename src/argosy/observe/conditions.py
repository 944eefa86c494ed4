"""From what was found to an Instance's status. Pure: the clock is a parameter.

Three outcomes are never mixed: waiting for something that comes by itself (Reconciling), trouble
that needs a person (Stalled), and all well (Ready).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from argosy.api.instance import ActionStatus, ComponentStatus, Instance, InstanceStatus
from argosy.api.meta import Condition, set_condition
from argosy.api.reasons import InstanceReason as Reason
from argosy.kube.objects import Ref
from argosy.observe.cause import Cause
from argosy.observe.health import WorkloadHealth

KEPT_ACTIONS = 10


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What one look at an Instance came to.

    ``stalled`` says that nothing changes until a person acts; with ``reason`` and ``message`` it
    tells what stands in the way. ``applied`` says that all objects are as desired.
    """

    reason: Reason
    message: str
    stalled: bool = False
    applied: bool = False
    objects: int = 0
    workloads: Mapping[Ref, WorkloadHealth | None] = field(default_factory=dict)
    causes: Mapping[Ref, Cause] = field(default_factory=dict)
    actions: Sequence[ActionStatus] = ()
    unsupported: str = ""


def next_status(
    instance: Instance, before: InstanceStatus, findings: Findings, *, now: datetime
) -> InstanceStatus:
    """Return the status after ``before`` that tells the findings; equal findings change nothing."""
    healthy = bool(findings.workloads) and all(
        health is not None and health.healthy for health in findings.workloads.values()
    )
    ready = healthy and findings.applied and findings.reason is Reason.HEALTHY
    return InstanceStatus(
        observed_generation=instance.metadata.generation,
        conditions=conditions(
            before.conditions,
            findings,
            ready=ready,
            healthy=healthy,
            now=now,
            generation=instance.metadata.generation,
        ),
        namespace=instance.namespace,
        version=running_version(findings.workloads) or before.version,
        url=f"https://{instance.spec.server.host}" if instance.spec.server.host else "",
        objects=findings.objects or before.objects,
        components=components(findings),
        actions=[*findings.actions, *before.actions][:KEPT_ACTIONS],
    )


def conditions(
    before: list[Condition], findings: Findings, *, ready: bool, healthy: bool, now: datetime, generation: int
) -> list[Condition]:
    """Return the conditions, kstatus' three first."""
    reconciling = not ready and not findings.stalled and findings.reason is not Reason.PAUSED
    verdicts: list[tuple[str, bool | None, Reason, str]] = [
        ("Ready", ready, findings.reason, findings.message),
        ("Reconciling", reconciling, findings.reason, findings.message if reconciling else "nothing to do"),
        (
            "Stalled",
            findings.stalled,
            findings.reason,
            findings.message if findings.stalled else "not stalled",
        ),
        (
            "Applied",
            findings.applied,
            Reason.APPLIED if findings.applied else findings.reason,
            "all objects are as desired" if findings.applied else findings.message,
        ),
        (
            "Healthy",
            healthy,
            Reason.HEALTHY if healthy else Reason.UNHEALTHY,
            "all components are healthy" if healthy else unhealthy_message(findings),
        ),
        (
            "Supported",
            not findings.unsupported,
            Reason.KUBERNETES_OUT_OF_RANGE if findings.unsupported else Reason.SUPPORTED,
            findings.unsupported or "the release is tested on this Kubernetes",
        ),
    ]
    result = before
    for kind, status, reason, message in verdicts:
        result = set_condition(
            result,
            kind,
            status=status,
            reason=reason,
            message=message,
            now=now,
            generation=generation,
        )
    return result


def unhealthy_message(findings: Findings) -> str:
    """Name the components that are not healthy."""
    names = sorted(
        ref.name for ref, health in findings.workloads.items() if health is None or not health.healthy
    )
    return f"not healthy: {', '.join(names)}" if names else "no component has been seen yet"


def components(findings: Findings) -> list[ComponentStatus]:
    """Return each component's state, by name."""
    return [
        ComponentStatus(
            name=ref.name,
            ready=health.ready if health else 0,
            desired=health.desired if health else 0,
            image=health.image if health else "",
            message=findings.causes[ref].message if ref in findings.causes else "",
        )
        for ref, health in sorted(findings.workloads.items())
    ]


def running_version(workloads: Mapping[Ref, WorkloadHealth | None]) -> str:
    """Return the version that all of Argo CD's own workloads run, or nothing while they differ."""
    tags = {
        health.image.rpartition(":")[2].removeprefix("v")
        for ref, health in workloads.items()
        if health is not None and health.healthy and "/argocd:" in health.image
    }
    return tags.pop() if len(tags) == 1 else ""
