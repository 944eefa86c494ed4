"""A small Argo CD of no real version: complete enough to be imported, small enough for milliseconds."""

from __future__ import annotations

from typing import Any

import yaml

from argosy.releases.bundle import VARIANTS

VERSION = "9.9.9"


def workload(name: str, image: str, kind: str = "Deployment") -> dict[str, Any]:
    pod = {"containers": [{"name": name, "image": image}]}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"template": {"spec": pod}},
    }


def crd(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{name}.argoproj.io"},
        "spec": spec,
    }


def installation(version: str = VERSION, *, cluster: bool, replicated: bool) -> list[dict[str, Any]]:
    image = f"quay.io/argoproj/argocd:v{version}"
    redis = "argocd-redis-ha-server" if replicated else "argocd-redis"
    objects = [
        workload("argocd-server", image),
        workload("argocd-repo-server", image),
        workload(redis, "public.ecr.aws/docker/library/redis:8.10.1-alpine", "StatefulSet"),
        workload("argocd-application-controller", image, "StatefulSet"),
    ]
    if cluster:
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "argocd-server"},
        }
        return [crd("applications"), crd("appprojects"), role, *objects]
    return objects


def tree(version: str = VERSION) -> dict[str, bytes]:
    objects = {
        path: installation(version, cluster=name.startswith("cluster"), replicated=name.endswith("-ha"))
        for name, path in VARIANTS.items()
    }
    objects["manifests/crds/application-crd.yaml"] = [crd("applications")]
    objects["manifests/crds/appproject-crd.yaml"] = [crd("appprojects")]
    return {path: yaml.safe_dump_all(found).encode() for path, found in objects.items()}
