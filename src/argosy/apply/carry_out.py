"""Carry out the steps of one wave: together, stopping at the first failure, all of it on record."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from argosy.api.meta import CREATED_ANNOTATION, FIELD_MANAGER
from argosy.kube.client import Client
from argosy.kube.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound
from argosy.kube.objects import Obj, Ref, resource_of
from argosy.kube.ownership import owned_hash
from argosy.plan.build import IMMUTABLE
from argosy.plan.model import Action, Step

#: Marks who created a namespace; a manager of its own, so that applying never takes the mark away.
CREATOR = "argosy-creator"
#: How long a deleted object may take to be gone before it is created anew, in seconds.
GONE_TIMEOUT = 30.0


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step that was carried out: the hash of what was asked, and the object afterwards."""

    step: Step
    asked: str = ""
    live: Obj | None = None


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A step that was refused, and the API server's words."""

    step: Step
    error: ApiError


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a wave."""

    done: tuple[Done, ...] = ()
    failed: tuple[Failed, ...] = ()


Fence = Callable[[], Awaitable[None]]


def asked_hash(obj: Obj) -> str:
    """Hash what is asked for an object; the same object has the same hash in every process."""
    return hashlib.blake2b(msgspec.json.encode(obj, order="deterministic"), digest_size=8).hexdigest()


async def carry_out(client: Client, steps: Sequence[Step], *, fence: Fence) -> Outcome:
    """Carry out the steps of one wave side by side.

    ``fence`` raises when this worker may no longer write; it is asked right before the first
    request. Once a step fails no further one is begun; those under way are waited for.
    """
    await fence()
    stop = asyncio.Event()

    async def run(step: Step) -> Done | Failed | None:
        if stop.is_set():
            return None
        try:
            return await perform(client, step)
        except ApiError as error:
            stop.set()
            return Failed(step=step, error=error)

    results = await asyncio.gather(*(run(step) for step in steps))
    return Outcome(
        done=tuple(result for result in results if isinstance(result, Done)),
        failed=tuple(result for result in results if isinstance(result, Failed)),
    )


async def perform(client: Client, step: Step) -> Done:
    """Carry out one step."""
    desired = step.desired
    if step.action is Action.PRUNE or desired is None:
        await prune(client, step.ref)
        return Done(step=step)
    if step.action is Action.CREATE and step.ref.kind == "Namespace":
        await create_namespace(client, step.ref.name)
    if step.action is Action.RECREATE:
        await remove(client, step.ref, orphan=True)
    try:
        live = await client.apply(desired, field_manager=FIELD_MANAGER, force=True)
    except Invalid as error:
        if not can_recreate(step, error):
            raise
        await remove(client, step.ref, orphan=True)
        live = await client.apply(desired, field_manager=FIELD_MANAGER, force=True)
        reason = f"the API server will not change it in place: {error.message}"
        step = replace(step, action=Action.RECREATE, reason=reason)
    return Done(step=step, asked=asked_hash(desired), live=live)


def can_recreate(step: Step, error: Invalid) -> bool:
    """Tell whether a refusal is about a field that never changes, on a kind that is safe to recreate.

    Only kinds that hold no data of their own are; a namespace or a custom resource never is.
    """
    return step.action is Action.CHANGE and step.ref.kind in IMMUTABLE and "immutable" in error.message


async def create_namespace(client: Client, name: str) -> None:
    """Create a namespace with Argosy's mark; one that is there already stays unmarked."""
    marked = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "annotations": {CREATED_ANNOTATION: "true"}},
    }
    try:
        await client.create(marked, field_manager=CREATOR)
    except AlreadyExists:
        return


async def prune(client: Client, ref: Ref) -> None:
    """Delete an object that Argosy applied, unless somebody else has made it theirs since."""
    resource = resource_of(ref)
    try:
        live = await client.get(resource, ref.name, namespace=ref.namespace)
    except NotFound:
        return
    if owned_hash(live, FIELD_MANAGER):
        await remove(client, ref, orphan=False, uid=live["metadata"]["uid"])


async def remove(client: Client, ref: Ref, *, orphan: bool, uid: str = "") -> None:
    """Delete one object, leaving its dependents alone when ``orphan``, and wait until it is gone."""
    resource = resource_of(ref)
    try:
        uid = uid or await uid_of(client, ref)
        await client.delete(
            resource,
            ref.name,
            namespace=ref.namespace,
            propagation="Orphan" if orphan else "Background",
            uid=uid,
        )
        async with asyncio.timeout(GONE_TIMEOUT):
            while await uid_of(client, ref) == uid:  # noqa: ASYNC110 - it happens on the server
                await asyncio.sleep(0.1)
    except (NotFound, Conflict):  # gone, or another object of that name has taken its place
        return
    except TimeoutError as error:
        raise ApiError(
            status=504, reason="Timeout", message=f"{ref} is still being deleted; a finalizer holds it"
        ) from error


async def uid_of(client: Client, ref: Ref) -> str:
    """Return the uid of a live object; raise NotFound."""
    live = await client.get(resource_of(ref), ref.name, namespace=ref.namespace)
    return str(live["metadata"]["uid"])
