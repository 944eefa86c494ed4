"""What an SLA needs and upstream leaves out: priority, disruption budgets, spread, rollouts that end."""

from __future__ import annotations

from argosy.kube.objects import POD_DISRUPTION_BUDGET, Obj
from argosy.render.context import Objects, RenderContext, pod_spec
from argosy.render.shared import PRIORITY_CLASS_NAME

SPREAD_OVER = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")


def availability(_context: RenderContext, objects: Objects) -> None:
    """Protect every workload against its neighbours, against maintenance, and against its own rollouts."""
    for workload in objects.workloads():
        pod = pod_spec(workload)
        pod["priorityClassName"] = PRIORITY_CLASS_NAME
        if workload["spec"]["replicas"] > 1:
            pod["topologySpreadConstraints"] = [
                *pod.get("topologySpreadConstraints", []),
                *(spread(workload, key) for key in SPREAD_OVER),
            ]
        if workload["kind"] == "Deployment" and one_per_node(pod):
            # By default one pod more is started first: with as many nodes as replicas it fits nowhere,
            # and the rollout never ends.
            workload["spec"]["strategy"] = {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
            }
        objects.add(disruption_budget(workload))


def spread(workload: Obj, topology_key: str) -> Obj:
    """Return a constraint that spreads a workload's pods where that is possible."""
    return {
        "topologyKey": topology_key,
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": workload["spec"]["selector"],
    }


def one_per_node(pod: Obj) -> bool:
    """Tell whether upstream forbids two of these pods on one node (high availability)."""
    anti_affinity = pod.get("affinity", {}).get("podAntiAffinity", {})
    return bool(anti_affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))


def disruption_budget(workload: Obj) -> Obj:
    """Return a budget that keeps all pods but one: a single replica can still be drained."""
    meta = workload["metadata"]
    return {
        "apiVersion": POD_DISRUPTION_BUDGET.api_version,
        "kind": POD_DISRUPTION_BUDGET.kind,
        "metadata": {"name": meta["name"], "labels": dict(meta.get("labels", {}))},
        "spec": {
            "maxUnavailable": 1,
            "selector": workload["spec"]["selector"],
            # A pod that is broken anyway holds up no drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
