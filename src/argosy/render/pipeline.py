"""Render an Instance: the upstream manifests of its release, edited by one feature after the other."""

from __future__ import annotations

from collections.abc import Callable

from argosy.api.instance import Instance, Scope
from argosy.kube.objects import Obj
from argosy.releases.bundle import variant
from argosy.render.access import confine, destinations, namespaces, sources
from argosy.render.components import overrides, placement, switches
from argosy.render.config import configuration, restarts
from argosy.render.context import Objects, RenderContext
from argosy.render.exposure import exposure
from argosy.render.images import images
from argosy.render.labels import labels
from argosy.render.network import network
from argosy.render.pod_security import pod_security
from argosy.render.projects import projects
from argosy.render.secrets import secrets
from argosy.render.sizing import sizing
from argosy.render.sla import availability

Feature = Callable[[RenderContext, Objects], None]

#: In this order: what leaves objects out comes first, what touches every object last.
FEATURES: tuple[Feature, ...] = (
    switches,  # leaves out the components that the Instance does not want
    secrets,  # keeps Argosy's hands off what Argo CD writes
    configuration,  # argocd-cm, argocd-cmd-params-cm, argocd-rbac-cm
    overrides,  # what the Instance says of single components
    sizing,  # requests, limits, replicas and processors by size
    placement,  # node selector and tolerations
    availability,  # priority, disruption budgets, spread over nodes
    network,  # network policies
    images,  # registry mirror and pull secrets
    restarts,  # pods start anew when what they read at their start changes
    exposure,  # Ingress or HTTPRoute
    namespaces,  # the namespaces that the following render into
    pod_security,  # how strictly pods are held in the instance's own
    destinations,  # where a Namespaced instance may deploy to
    sources,  # further namespaces with Applications
    projects,  # the owner's AppProjects, and the neutralised default one
    confine,  # namespace and names, so that instances on one cluster do not collide
    labels,  # how Argosy finds its objects again
)


def variant_of(instance: Instance) -> str:
    """Return which upstream variant an Instance starts from."""
    return variant(
        cluster_wide=instance.spec.scope is Scope.CLUSTER, high_availability=instance.spec.high_availability
    )


def render(context: RenderContext, upstream: list[Obj]) -> list[Obj]:
    """Return all objects of an Instance, in a fixed order.

    ``upstream`` are the objects of the right variant, without CRDs; they are edited in place.
    """
    objects = Objects(upstream)
    for feature in FEATURES:
        feature(context, objects)
    return objects.ordered()
