"""How far an instance reaches: its namespace, the names of what is cluster-scoped, its destinations.

A Namespaced instance deploys into its destination namespaces only: Argo CD reads them from the
``namespaces`` key of the in-cluster cluster Secret (docs/operator-manual/declarative-setup.md,
"Clusters", of the Argo CD documentation), and Kubernetes enforces them by Roles.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from argosy.api.instance import Scope
from argosy.kube.objects import NAMESPACE, ROLE, ROLE_BINDING, SECRET, Obj
from argosy.render.context import Objects, RenderContext, is_namespaced

IN_CLUSTER = "https://kubernetes.default.svc"
RBAC = ROLE.group

CONTROLLER, SERVER, APPLICATION_SETS, NOTIFICATIONS = (
    "argocd-application-controller",
    "argocd-server",
    "argocd-applicationset-controller",
    "argocd-notifications-controller",
)

EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
#: What upstream's ClusterRole argocd-server allows: to show, act on and delete what is deployed, and
#: to read its logs and events. Resource actions create Jobs and Workflows.
SHOW_AND_ACT = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["delete", "get", "patch"]},
    {"apiGroups": ["*"], "resources": ["*/finalizers"], "verbs": ["update"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]},
    {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]},
]
#: What upstream's Roles and examples/k8s-rbac/argocd-server-applications allow for Applications.
WRITE_APPLICATIONS = [
    {
        "apiGroups": ["argoproj.io"],
        "resources": ["applications", "applicationsets"],
        "verbs": ["create", "get", "list", "watch", "update", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "list"]},
]
READ_APPLICATIONS = [
    {
        "apiGroups": ["argoproj.io"],
        "resources": ["applications", "applicationsets"],
        "verbs": ["get", "list", "watch"],
    }
]


def confine(context: RenderContext, objects: Objects) -> None:
    """Put everything into the instance's namespace, or give it a name that no other instance has."""
    namespace = context.namespace
    for obj in objects:
        meta = obj["metadata"]
        if is_namespaced(obj):
            meta.setdefault("namespace", namespace)
        elif obj["kind"] != NAMESPACE.kind:
            meta["name"] = f"{meta['name']}-{namespace}"
        for subject in obj.get("subjects") or ():
            subject["namespace"] = namespace
        role = obj.get("roleRef")
        if role and role["kind"] == "ClusterRole":
            obj["roleRef"] = {**role, "name": f"{role['name']}-{namespace}"}


def namespaces(context: RenderContext, objects: Objects) -> None:
    """Have all namespaces there into which objects are rendered; who owns them stays who it was."""
    instance = context.instance
    wanted = {
        context.namespace,
        *instance.destination_namespaces,
        *instance.spec.source_namespaces,
    }
    for name in sorted(wanted):
        objects.add({"apiVersion": "v1", "kind": NAMESPACE.kind, "metadata": {"name": name}})


def destinations(context: RenderContext, objects: Objects) -> None:
    """Let a Namespaced instance deploy to its destination namespaces, and nowhere else.

    Without any namespace in the Secret Argo CD would take the cluster as a whole; an instance that has
    none is told by `config` that its own cluster is no destination.
    """
    instance = context.instance
    if instance.spec.scope is Scope.CLUSTER or not instance.destination_namespaces:
        return
    for namespace in instance.destination_namespaces:
        grant(objects, namespace, f"{CONTROLLER}-{context.namespace}", EVERYTHING, to=[CONTROLLER])
        grant(objects, namespace, f"{SERVER}-{context.namespace}", SHOW_AND_ACT, to=[SERVER])
    data = {
        "name": "in-cluster",
        "server": IN_CLUSTER,
        "namespaces": ",".join(instance.destination_namespaces),
        "clusterResources": "false",
        "config": '{"tlsClientConfig":{"insecure":false}}',
    }
    objects.add(
        {
            "apiVersion": "v1",
            "kind": SECRET.kind,
            "metadata": {
                "name": "argocd-cluster-in-cluster",
                "labels": {
                    "argocd.argoproj.io/secret-type": "cluster",
                    "app.kubernetes.io/part-of": "argocd",
                },
            },
            "type": "Opaque",
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        }
    )


def sources(context: RenderContext, objects: Objects) -> None:
    """Let the components serve Applications in the source namespaces.

    Argo CD watches the Applications of all namespaces as soon as one is named, and filters afterwards
    (docs/operator-manual/app-any-namespace.md): reading needs a ClusterRole. ApplicationSets in source
    namespaces need scope Cluster: their controller would watch the Secrets of all namespaces too.
    """
    spec = context.instance.spec
    if not spec.source_namespaces:
        return
    accounts = [CONTROLLER, SERVER]
    if spec.notifications:
        accounts.append(NOTIFICATIONS)
    if spec.application_set and spec.scope is Scope.CLUSTER:
        accounts.append(APPLICATION_SETS)
    for namespace in spec.source_namespaces:
        grant(objects, namespace, f"argocd-sources-{context.namespace}", WRITE_APPLICATIONS, to=accounts)
    grant(objects, "", "argocd-sources", READ_APPLICATIONS, to=accounts)


def grant(objects: Objects, namespace: str, name: str, rules: list[Obj], *, to: Sequence[str]) -> None:
    """Give service accounts of the instance a Role in a namespace, or a ClusterRole (namespace empty)."""
    scope = "" if namespace else "Cluster"
    meta = {"name": name, "namespace": namespace} if namespace else {"name": name}
    role = f"{scope}{ROLE.kind}"
    objects.add({"apiVersion": ROLE.api_version, "kind": role, "metadata": meta, "rules": rules})
    objects.add(
        {
            "apiVersion": ROLE_BINDING.api_version,
            "kind": f"{scope}{ROLE_BINDING.kind}",
            "metadata": dict(meta),
            "roleRef": {"apiGroup": RBAC, "kind": role, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account} for account in to],
        }
    )
