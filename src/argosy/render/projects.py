"""The AppProjects that an instance starts with: what Applications may deploy, and where to.

* ``default`` allows nothing. Argo CD creates it wide open where it is missing, and everybody may use it.
* The project named after the owner's team is for the cluster that the instance runs in. Namespaced: the
  destination namespaces, and nothing cluster-scoped. Cluster: everywhere, other clusters too, except for
  the namespaces in which one could make oneself administrator of Argo CD, of Argosy or of the cluster.
* Namespaced instances have ``<team>-external`` beside it, for all clusters but their own: a pattern for
  "other clusters" cannot stand in one project with namespaces of this one, because a denied destination
  wins over an allowed one (docs/user-guide/projects.md).
"""

from __future__ import annotations

from typing import Any

from argosy.api.instance import Scope
from argosy.api.meta import SYSTEM_NAMESPACE
from argosy.kube.objects import APP_PROJECT, Obj
from argosy.render.access import IN_CLUSTER
from argosy.render.context import Objects, RenderContext

#: Argo CD's own project, which an Application without one belongs to.
DEFAULT = "default"
#: Whoever deploys here holds the cluster.
SYSTEM_NAMESPACES = (SYSTEM_NAMESPACE, "kube-node-lease", "kube-public", "kube-system")
EVERYTHING = [{"group": "*", "kind": "*"}]


def projects(context: RenderContext, objects: Objects) -> None:
    """Give the owner projects of its own, and take all power from the one that is everybody's."""
    instance = context.instance
    team = project_name(instance.spec.owner.team)
    sources = list(instance.spec.source_namespaces)
    objects.add(
        project(
            DEFAULT,
            description=f"Allows nothing: use {team}",
            sourceRepos=[],
            sourceNamespaces=[],
            destinations=[],
            clusterResourceWhitelist=[],
            namespaceResourceBlacklist=EVERYTHING,
        )
    )
    if instance.spec.scope is Scope.CLUSTER:
        denied = sorted({context.namespace, *SYSTEM_NAMESPACES})
        objects.add(
            project(
                team,
                description=f"Applications of {instance.spec.owner.team}",
                sourceRepos=["*"],
                sourceNamespaces=sources,
                destinations=[
                    {"server": "*", "namespace": "*"},
                    *({"server": IN_CLUSTER, "namespace": f"!{name}"} for name in denied),
                ],
                clusterResourceWhitelist=EVERYTHING,
            )
        )
        return
    objects.add(
        project(
            team,
            description=f"Applications of {instance.spec.owner.team} on this cluster",
            sourceRepos=["*"],
            sourceNamespaces=sources,
            destinations=[
                {"server": IN_CLUSTER, "namespace": name} for name in instance.destination_namespaces
            ],
            clusterResourceWhitelist=[],
        )
    )
    objects.add(
        project(
            f"{team}-external",
            description=f"Applications of {instance.spec.owner.team} on other clusters",
            sourceRepos=["*"],
            sourceNamespaces=sources,
            destinations=[
                {"server": "*", "namespace": "*"},
                {"server": f"!{IN_CLUSTER}", "namespace": "*"},
            ],
            clusterResourceWhitelist=EVERYTHING,
        )
    )


def project_name(team: str) -> str:
    """Return the name of a team's project; ``default`` is taken."""
    return team if team != DEFAULT else f"team-{team}"


def project(name: str, **spec: Any) -> Obj:
    """Return an AppProject."""
    return {
        "apiVersion": APP_PROJECT.api_version,
        "kind": APP_PROJECT.kind,
        "metadata": {"name": name},
        "spec": spec,
    }
