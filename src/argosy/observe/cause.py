"""Why a workload does not become healthy, as Kubernetes itself says it.

`find_cause` is pure; `gather_evidence` reads what it looks at: pods, events and the last log lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from argosy.api.reasons import InstanceReason
from argosy.kube.client import Client
from argosy.kube.errors import ApiError
from argosy.kube.objects import EVENT, POD, REPLICA_SET, Obj, Ref

LOG_LINES = 5
CRASHES = {"CrashLoopBackOff", "RunContainerError", "CreateContainerError", "CreateContainerConfigError"}
PULL_FAILURES = {
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ImageInspectError",
    "ErrImageNeverPull",
}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was read about one workload."""

    workload: Ref
    pods: list[Obj] = field(default_factory=list)
    events: list[Obj] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One finding: a documented reason, and what Kubernetes says."""

    reason: InstanceReason
    message: str


def find_cause(evidence: Evidence) -> Cause | None:
    """Return the first rule's finding, most definite first."""
    return next((cause for rule in RULES if (cause := rule(evidence))), None)


def images_not_pulled(evidence: Evidence) -> Cause | None:
    """A node cannot pull an image."""
    for pod, status in container_states(evidence.pods):
        waiting = status.get("state", {}).get("waiting", {})
        if waiting.get("reason") in PULL_FAILURES:
            detail = waiting.get("message") or waiting["reason"]
            return Cause(
                reason=InstanceReason.IMAGE_PULL_FAILED,
                message=f"pod {pod} cannot pull {status.get('image')}: {detail}",
            )
    return None


def containers_crash(evidence: Evidence) -> Cause | None:
    """A container does not stay up."""
    for pod, status in container_states(evidence.pods):
        waiting = status.get("state", {}).get("waiting", {})
        if waiting.get("reason") not in CRASHES:
            continue
        last = status.get("lastState", {}).get("terminated", {})
        parts = [f"container {status['name']} of pod {pod}: {waiting['reason']}"]
        if last:
            parts.append(f"last exit {last.get('exitCode')} ({last.get('reason')})")
        else:
            parts.append(waiting.get("message", ""))
        if log := evidence.logs.get(f"{pod}/{status['name']}"):
            parts.append(f"its last words: {log}")
        return Cause(reason=InstanceReason.CRASH_LOOPING, message="; ".join(filter(None, parts)))
    return None


def pods_refused(evidence: Evidence) -> Cause | None:
    """The API server refuses the pods: a quota, or an admission policy."""
    for event in newest_first(evidence.events):
        if event.get("reason") != "FailedCreate":
            continue
        message = event.get("message", "")
        quota = "exceeded quota" in message or "failed quota" in message
        reason = InstanceReason.QUOTA_EXCEEDED if quota else InstanceReason.ADMISSION_REFUSED
        return Cause(reason=reason, message=f"{evidence.workload}: {message}")
    return None


def pods_unschedulable(evidence: Evidence) -> Cause | None:
    """No node takes a pod."""
    for pod in evidence.pods:
        for condition in pod.get("status", {}).get("conditions", ()):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return Cause(
                    reason=InstanceReason.UNSCHEDULABLE,
                    message=f"pod {pod['metadata']['name']}: {condition.get('message', 'no node takes it')}",
                )
    return None


RULES: tuple[Callable[[Evidence], Cause | None], ...] = (
    images_not_pulled,
    containers_crash,
    pods_unschedulable,
    pods_refused,  # last: an old refusal stays among the events after it has been overcome
)


def container_states(pods: list[Obj]) -> list[tuple[str, dict[str, Any]]]:
    """Return the states of all containers, init containers first, with their pod's name."""
    return [
        (pod["metadata"]["name"], status)
        for pod in pods
        for group in ("initContainerStatuses", "containerStatuses")
        for status in pod.get("status", {}).get(group, ())
    ]


def newest_first(events: list[Obj]) -> list[Obj]:
    """Order events by when they were last seen."""
    return sorted(events, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "", reverse=True)


async def gather_evidence(client: Client, workload: Obj, ref: Ref) -> Evidence:
    """Read the pods of a workload, the events about it and them, and the logs of what crashed."""
    labels = workload["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    pods = await client.list(POD, namespace=ref.namespace, label_selector=selector)
    owned = await client.list(REPLICA_SET, namespace=ref.namespace, label_selector=selector)
    about = {ref.name, *(obj["metadata"]["name"] for obj in [*pods, *owned])}
    events = await client.list(EVENT, namespace=ref.namespace)
    logs: dict[str, str] = {}
    for pod, status in container_states(pods):
        if status.get("restartCount"):
            try:
                text = await client.pod_logs(
                    ref.namespace, pod, container=status["name"], tail_lines=LOG_LINES, previous=True
                )
            except ApiError:  # the kubelet may have dropped the container's log by now
                continue
            logs[f"{pod}/{status['name']}"] = " | ".join(text.strip().splitlines())
    return Evidence(
        workload=ref,
        pods=pods,
        events=[event for event in events if event.get("involvedObject", {}).get("name") in about],
        logs=logs,
    )
