"""Who may talk to whom inside an instance: upstream's network policies, or none.

Whoever reaches the repo server may have it render what they like, and whoever reaches Redis may put
manifests into its cache (GHSA-9766-5277-j5hr): both stay closed to other namespaces, even should a
release come without a policy for them.
"""

from __future__ import annotations

from argosy.kube.objects import NETWORK_POLICY, Obj
from argosy.render.context import REDIS, REPO_SERVER, Objects, RenderContext

CLOSED = (REDIS, REPO_SERVER)


def network(context: RenderContext, objects: Objects) -> None:
    """Keep upstream's policies and add what is missing, unless the Instance wants none."""
    if not context.instance.spec.network_policies:
        objects.remove_kind("NetworkPolicy")
        return
    guarded = [policy["spec"]["podSelector"] for policy in objects.of_kind("NetworkPolicy")]
    for component in CLOSED:
        for workload in objects.workloads(component):
            if workload["spec"]["selector"] not in guarded:
                objects.add(same_namespace_only(workload))


def same_namespace_only(workload: Obj) -> Obj:
    """Return a policy that lets in pods of the workload's own namespace, and nobody else."""
    meta = workload["metadata"]
    return {
        "apiVersion": NETWORK_POLICY.api_version,
        "kind": NETWORK_POLICY.kind,
        "metadata": {"name": f"{meta['name']}-network-policy", "labels": dict(meta.get("labels", {}))},
        "spec": {
            "podSelector": workload["spec"]["selector"],
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}]}],
        },
    }
