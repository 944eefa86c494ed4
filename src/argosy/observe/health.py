"""How a workload is, from its own status. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from argosy.kube.objects import Obj


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadHealth:
    """One workload's pods: how many should be, are of the newest revision, and are ready."""

    desired: int
    updated: int
    ready: int
    observed: bool
    image: str

    @property
    def healthy(self) -> bool:
        """Tell whether the controller has seen the newest spec and all pods run it and are ready."""
        return self.observed and self.updated >= self.desired and self.ready >= self.desired


def workload_health(obj: Obj) -> WorkloadHealth:
    """Read a Deployment's or StatefulSet's health (the contract of `kubectl rollout status`)."""
    spec, status = obj["spec"], obj.get("status", {})
    containers = spec["template"]["spec"]["containers"]
    return WorkloadHealth(
        desired=spec.get("replicas", 1),
        # A StatefulSet that is not in the middle of a rollout leaves updatedReplicas out.
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        observed=status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0),
        image=containers[0]["image"],
    )
