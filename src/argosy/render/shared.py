"""What all Instances of a target share, beside the CRDs."""

from __future__ import annotations

from argosy.api.meta import FIELD_MANAGER, MANAGED_BY_LABEL
from argosy.kube.objects import Obj

PRIORITY_CLASS_NAME = "argosy-instance"
#: Above ordinary workloads (0), far below what the cluster itself needs (2,000,000,000).
PRIORITY = 1_000_000


def shared_objects() -> list[Obj]:
    """Return the objects that are there once on each target."""
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": PRIORITY_CLASS_NAME, "labels": {MANAGED_BY_LABEL: FIELD_MANAGER}},
            "value": PRIORITY,
            "globalDefault": False,
            "description": "Argo CD instances: they deploy what others need.",
        }
    ]
