"""Take an Instance away the way its deletion policy says.

Orphan: Argosy lets go, and everything stays. Delete: the Argo CD goes, and what it deployed stays,
unless the Instance says ``deleteApplications``. In both, the finalizers by which Argo CD deletes
workloads are dealt with before anything else is touched, so that no later deletion cascades
(argo-cd issues 5862 and 6046 tell of cascades that a reinstallation resumed).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from argosy.api.instance import DeletionPolicy, Instance
from argosy.api.meta import CREATED_ANNOTATION, INSTANCE_LABEL, INSTANCE_NAMESPACE_LABEL
from argosy.apply.carry_out import prune
from argosy.apply.record import delete_record
from argosy.controllers.session import Session
from argosy.kube.errors import NotFound
from argosy.kube.objects import (
    APPLICATION,
    APPLICATION_SET,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STATEFUL_SET,
    Obj,
    Resource,
)
from argosy.plan.order import WORKLOADS

RESOURCES_FINALIZER = "resources-finalizer.argocd.argoproj.io"
#: Every finalizer of Argo CD's that makes a deletion do something, whatever its suffix.
CASCADING = (
    RESOURCES_FINALIZER,
    "pre-delete-finalizer.argocd.argoproj.io",
    "post-delete-finalizer.argocd.argoproj.io",
)
#: What makes a namespace one that is still in use.
TENANT_KINDS = (
    APPLICATION,
    APPLICATION_SET,
    DEPLOYMENT,
    STATEFUL_SET,
    DAEMON_SET,
    JOB,
    POD,
    PERSISTENT_VOLUME_CLAIM,
)
#: The order in which an Argo CD is taken down: what acts on its own goes first.
WRITERS_FIRST = ("ApplicationSet", "application-controller", "applicationset-controller")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a deletion has come; ``waiting`` is empty once all is done."""

    waiting: str = ""


async def take_away(session: Session, instance: Instance) -> Progress:
    """Do the next part of a deletion; safe to call again after any interruption."""
    await session.fence()
    if instance.spec.delete_applications and instance.spec.deletion_policy is DeletionPolicy.DELETE:
        left = await delete_applications(session, instance)
        if left:
            return Progress(waiting=f"waiting for {left} applications and what they deployed to be gone")
    elif instance.spec.deletion_policy is DeletionPolicy.DELETE:
        if await stop_writers(session, instance):
            return Progress(waiting="waiting for the controllers to stop")
        await defuse(session, instance)
    else:
        await defuse(session, instance)
    if instance.spec.deletion_policy is DeletionPolicy.DELETE:
        await remove_objects(session, instance)
        await remove_namespaces(session, instance)
    await delete_record(session.client, instance.key)
    session.records.pop(instance.key, None)
    return Progress()


async def defuse(session: Session, instance: Instance) -> None:
    """Remove the finalizers by which deleting an Application would delete workloads."""
    for resource, obj in await argo_objects(session, instance):
        finalizers = obj["metadata"].get("finalizers", [])
        kept = [name for name in finalizers if not name.startswith(CASCADING)]
        if kept != finalizers:
            await set_finalizers(session, resource, obj, kept)


async def delete_applications(session: Session, instance: Instance) -> int:
    """Delete generators, then Applications with all that they deployed; return how many are left."""
    found = await argo_objects(session, instance)
    for resource, obj in found:
        if resource == APPLICATION_SET and "deletionTimestamp" not in obj["metadata"]:
            await delete(session, resource, obj, propagation="Orphan")
    for resource, obj in found:
        if resource != APPLICATION or "deletionTimestamp" in obj["metadata"]:
            continue
        finalizers = obj["metadata"].get("finalizers", [])
        if not any(name.startswith(RESOURCES_FINALIZER) for name in finalizers):
            await set_finalizers(session, resource, obj, [*finalizers, RESOURCES_FINALIZER])
        await delete(session, resource, obj, propagation="Background")
    return len(found)


async def argo_objects(session: Session, instance: Instance) -> list[tuple[Resource, Obj]]:
    """Return the ApplicationSets and Applications that the instance serves."""
    found: list[tuple[Resource, Obj]] = []
    for resource in (APPLICATION_SET, APPLICATION):
        for namespace in (instance.namespace, *instance.spec.source_namespaces):
            try:
                items = await session.client.list(resource, namespace=namespace)
            except NotFound:  # the kind itself is not there
                continue
            found += [(resource, obj) for obj in items]
    return found


async def set_finalizers(session: Session, resource: Resource, obj: Obj, finalizers: list[str]) -> None:
    """Set an object's finalizers, provided that it is still as it was read."""
    meta = obj["metadata"]
    patch = {"metadata": {"finalizers": finalizers or None, "resourceVersion": meta["resourceVersion"]}}
    await session.client.patch(resource, meta["name"], patch, namespace=meta["namespace"])


async def delete(session: Session, resource: Resource, obj: Obj, *, propagation: str) -> None:
    """Delete one object, provided that it is still the one that was read."""
    meta = obj["metadata"]
    try:
        await session.client.delete(
            resource, meta["name"], namespace=meta["namespace"], propagation=propagation, uid=meta["uid"]
        )
    except NotFound:
        return


async def stop_writers(session: Session, instance: Instance) -> bool:
    """Take down what acts on Applications, and tell whether any of it still runs."""
    mine = session.view.of(instance.key)
    writers = [ref for ref in mine if ref.kind in WORKLOADS and "controller" in ref.name]
    await asyncio.gather(*(prune(session.client, ref) for ref in writers))
    for ref in writers:
        session.view.drop(ref)
    pods = await session.client.list(POD, namespace=instance.namespace)
    return any("controller" in pod["metadata"]["name"] for pod in pods if is_argo_pod(pod))


def is_argo_pod(pod: Obj) -> bool:
    """Tell whether a pod is one of an Argo CD's own."""
    return bool(pod["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") == "argocd")


async def remove_objects(session: Session, instance: Instance) -> None:
    """Remove all that Argosy applied for the Instance, except namespaces, workloads first."""
    mine = [ref for ref in session.view.of(instance.key) if ref.kind != "Namespace"]
    for group in ([r for r in mine if r.kind in WORKLOADS], [r for r in mine if r.kind not in WORKLOADS]):
        await asyncio.gather(*(prune(session.client, ref) for ref in group))
        for ref in group:
            session.view.drop(ref)


async def remove_namespaces(session: Session, instance: Instance) -> None:
    """Remove the namespaces that Argosy created and that nobody uses; let go of the others."""
    for name in dict.fromkeys((instance.namespace, *instance.destination_namespaces)):
        try:
            found = await session.client.get(NAMESPACE, name)
        except NotFound:
            continue
        created = found["metadata"].get("annotations", {}).get(CREATED_ANNOTATION)
        if created and not await in_use(session, name):
            await session.client.delete(NAMESPACE, name, uid=found["metadata"]["uid"])
        else:
            labels = {INSTANCE_LABEL: None, INSTANCE_NAMESPACE_LABEL: None}
            await session.client.patch(NAMESPACE, name, {"metadata": {"labels": labels}})


async def in_use(session: Session, namespace: str) -> bool:
    """Tell whether a namespace holds anything that somebody would miss."""
    for resource in TENANT_KINDS:
        try:
            items = await session.client.list(resource, namespace=namespace)
        except NotFound:
            continue
        if any(not is_leaving(item) for item in items):
            return True
    return False


def is_leaving(obj: Obj) -> bool:
    """Tell whether an object is one of Argo CD's own pods, or is being deleted already."""
    return "deletionTimestamp" in obj["metadata"] or is_argo_pod(obj)
