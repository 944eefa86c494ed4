"""How far an instance reaches: its namespace, the names of what is cluster-scoped, its destinations.

A Namespaced instance deploys into its destination namespaces only: Argo CD reads them from the
``namespaces`` key of the in-cluster cluster Secret, and Kubernetes enforces them by Roles
(docs/operator-manual/declarative-setup.md, "Clusters", of the Argo CD documentation).
"""

from __future__ import annotations

import base64
from typing import Any

from argosy.api.instance import Scope
from argosy.api.meta import SYSTEM_NAMESPACE
from argosy.kube.objects import APP_PROJECT, Obj
from argosy.render.context import Objects, RenderContext, is_namespaced

IN_CLUSTER = "https://kubernetes.default.svc"
CONTROLLER, SERVER, APPLICATION_SETS = (
    "argocd-application-controller",
    "argocd-server",
    "argocd-applicationset-controller",
)
RBAC = "rbac.authorization.k8s.io"

EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
#: What upstream's ClusterRole lets the server do to deployed objects: show, act on, delete, read logs.
SHOW_AND_ACT = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["delete", "get", "patch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]},
    {
        "apiGroups": ["batch"],
        "resources": ["jobs", "cronjobs", "cronjobs/finalizers"],
        "verbs": ["create", "update"],
    },
]
#: What upstream's examples/k8s-rbac/argocd-server-applications gives for Applications elsewhere.
APPLICATIONS = [
    {
        "apiGroups": ["argoproj.io"],
        "resources": ["applications", "applicationsets", "appprojects"],
        "verbs": ["create", "get", "list", "watch", "update", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "list", "patch"]},
    {"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get", "list", "watch"]},
]


def confine(context: RenderContext, objects: Objects) -> None:
    """Put everything into the instance's namespace, or give it a name that no other instance has."""
    namespace = context.namespace
    objects.add(namespace_object(namespace))
    for obj in objects:
        meta = obj["metadata"]
        if is_namespaced(obj):
            meta.setdefault("namespace", namespace)
        elif obj["kind"] != "Namespace":
            meta["name"] = f"{meta['name']}-{namespace}"
        if obj["kind"] == "ClusterRoleBinding":
            obj["roleRef"]["name"] = f"{obj['roleRef']['name']}-{namespace}"
        if obj["kind"] in ("ClusterRoleBinding", "RoleBinding"):
            for subject in obj.get("subjects", ()):
                subject["namespace"] = namespace


def destinations(context: RenderContext, objects: Objects) -> None:
    """Let a Namespaced instance deploy to its destination namespaces, and nowhere else."""
    instance = context.instance
    if instance.spec.scope is Scope.CLUSTER:
        return
    names = instance.destination_namespaces
    for name in names:
        if name != context.namespace:
            objects.add(namespace_object(name))
        suffix = context.namespace
        grant(objects, name, f"{CONTROLLER}-{suffix}", CONTROLLER, EVERYTHING)
        grant(objects, name, f"{SERVER}-{suffix}", SERVER, SHOW_AND_ACT)
    objects.add(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "argocd-cluster-in-cluster",
                "labels": {
                    "argocd.argoproj.io/secret-type": "cluster",
                    "app.kubernetes.io/part-of": "argocd",
                },
            },
            "type": "Opaque",
            "data": {
                "name": encoded("in-cluster"),
                "server": encoded(IN_CLUSTER),
                # Without any namespace Argo CD would take the cluster as a whole.
                "namespaces": encoded(",".join(names or [context.namespace])),
                "clusterResources": encoded("false"),
                "config": encoded('{"tlsClientConfig":{"insecure":false}}'),
            },
        }
    )


def sources(context: RenderContext, objects: Objects) -> None:
    """Let the components read and write Applications in the further source namespaces."""
    for name in context.instance.spec.source_namespaces:
        for account in (CONTROLLER, SERVER, APPLICATION_SETS, "argocd-notifications-controller"):
            grant(objects, name, f"{account}-sources-{context.namespace}", account, APPLICATIONS)


def projects(context: RenderContext, objects: Objects) -> None:
    """Give the owner an AppProject, and take all power from the one that everybody may use.

    Argo CD creates ``default`` wide open when it is missing, so it is there, and allows nothing.
    The owner's project denies the instance's own namespace and Argosy's: whoever can deploy there
    could make themselves administrator.
    """
    instance = context.instance
    everywhere = instance.spec.scope is Scope.CLUSTER
    allowed = [{"server": "*", "namespace": "*"}]
    denied = [
        {"server": IN_CLUSTER, "namespace": f"!{name}"}
        for name in (context.namespace, SYSTEM_NAMESPACE, "kube-system")
    ]
    if not everywhere:
        # The cluster Secret holds the instance to its destinations, whatever the project says.
        denied = denied[:2]
    objects.add(
        project(
            instance.spec.owner.team if instance.spec.owner.team != "default" else "team-default",
            description=f"Applications of {instance.spec.owner.team}",
            sourceRepos=["*"],
            destinations=[*allowed, *denied],
            sourceNamespaces=list(instance.spec.source_namespaces),
            clusterResourceWhitelist=[{"group": "*", "kind": "*"}] if everywhere else [],
        )
    )
    objects.add(
        project(
            "default",
            description="Allows nothing; use the team's own project",
            sourceRepos=[],
            destinations=[],
        )
    )


def project(name: str, **spec: Any) -> Obj:
    """Return an AppProject."""
    return {
        "apiVersion": APP_PROJECT.api_version,
        "kind": "AppProject",
        "metadata": {"name": name},
        "spec": spec,
    }


def namespace_object(name: str) -> Obj:
    """Return a Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def grant(objects: Objects, namespace: str, name: str, account: str, rules: list[Obj]) -> None:
    """Give a service account of the instance a Role in another namespace."""
    meta = {"name": name, "namespace": namespace}
    objects.add({"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": dict(meta), "rules": rules})
    objects.add(
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": dict(meta),
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account}],
        }
    )


def encoded(text: str) -> str:
    """Return a text as a Secret's data holds it."""
    return base64.b64encode(text.encode()).decode()
