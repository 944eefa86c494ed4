"""What an SLA needs and upstream leaves out: priority, disruption budgets, spread over nodes."""

from __future__ import annotations

from argosy.kube.objects import Obj
from argosy.render.context import Objects, RenderContext, pod_spec
from argosy.render.shared import PRIORITY_CLASS_NAME


def availability(_context: RenderContext, objects: Objects) -> None:
    """Protect every workload against its neighbours and against maintenance."""
    for workload in objects.workloads():
        selector = workload["spec"]["selector"]
        pod = pod_spec(workload)
        pod["priorityClassName"] = PRIORITY_CLASS_NAME
        pod.setdefault("topologySpreadConstraints", []).append(
            {
                "topologyKey": "kubernetes.io/hostname",
                "maxSkew": 1,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": selector,
            }
        )
        objects.add(disruption_budget(workload))


def disruption_budget(workload: Obj) -> Obj:
    """Return a budget that keeps all pods but one: a single replica can still be drained."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": workload["metadata"]["name"],
            "labels": dict(workload["metadata"].get("labels", {})),
        },
        "spec": {"maxUnavailable": 1, "selector": workload["spec"]["selector"]},
    }
