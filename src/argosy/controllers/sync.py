"""Make what is live as desired, one wave after the other: plan, apply, remember.

Serves Instances and what all Instances of a target share alike. What is in sync by its hashes is
neither read nor sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from argosy.api.meta import FIELD_MANAGER
from argosy.apply.carry_out import Done, Failed, asked_hash, carry_out
from argosy.apply.record import Entry, Record
from argosy.controllers.session import Session
from argosy.controllers.view import Seen
from argosy.kube.errors import NotFound
from argosy.kube.objects import Obj, Ref, ref_of, resource_of
from argosy.kube.ownership import changed_by, owned_hash
from argosy.plan.build import plan
from argosy.plan.diff import diff
from argosy.plan.model import Action, Plan, Step
from argosy.plan.order import PRUNES, WAVE_NAMES, WORKLOADS, wave_of

#: Namespaces outlive what Argosy does in them: they may hold what others made.
NEVER_PRUNED = {"Namespace", "CustomResourceDefinition"}


@dataclass(kw_only=True)
class Result:
    """What a pass did, and what it waits for (``waiting`` names the wave)."""

    done: list[Done] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    waiting: str = ""
    unhealthy: list[Ref] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Tell whether everything is as desired now."""
        return not self.failed and not self.waiting


async def sync(session: Session, owner: str, desired: list[Obj], record: Record, *, rollout: bool) -> Result:
    """Carry out what is needed, as far as health allows it now, and update ``record`` in memory.

    During a rollout a wave begins only when the workloads of all waves before it are healthy.
    What has merely drifted is put right at once: no wave waits for it, and it waits for none.
    """
    by_ref = {ref_of(obj): obj for obj in desired}
    hashes = {ref: asked_hash(obj) for ref, obj in by_ref.items()}
    suspects = [ref for ref in by_ref if not in_sync(session, owner, ref, hashes[ref], record)]
    steps = await plan_for(session, owner, by_ref, suspects, record=record, hashes=hashes)
    result = Result()
    for wave, wave_steps in steps.waves():
        blocked = unhealthy_before(session, owner, by_ref, wave) if rollout else []
        ready = [step for step in wave_steps if not blocked or is_drift(step, hashes, record)]
        if len(ready) < len(wave_steps):
            result.waiting = result.waiting or wave_name(wave, blocked)
            result.unhealthy = result.unhealthy or blocked
        if not ready:
            continue
        outcome = await carry_out(session.client, ready, fence=session.fence)
        for done in outcome.done:
            remember(session, done, record)
        result.done += outcome.done
        result.failed += outcome.failed
        if result.failed:
            return result
    if rollout and not result.waiting and (left := unhealthy_before(session, owner, by_ref, PRUNES)):
        result.waiting, result.unhealthy = f"waiting for {', '.join(ref.name for ref in left)}", left
    return result


def in_sync(session: Session, owner: str, ref: Ref, asked: str, record: Record) -> bool:
    """Tell from hashes alone whether an object is as it was applied, and as it is desired now."""
    entry, seen = record.entry(ref), session.view.of(owner).get(ref)
    return entry is not None and seen is not None and entry == Entry(asked, seen.owned)


def untouched(session: Session, owner: str, record: Record) -> bool:
    """Tell whether all is live as it was applied, and nothing that was is left over."""
    seen = session.view.of(owner)
    refs = record.refs()
    return all(
        ref in seen and (entry := record.entry(ref)) is not None and entry.owned == seen[ref].owned
        for ref in refs
    ) and not any(is_leftover(known) for ref, known in seen.items() if ref not in refs)


def is_leftover(seen: Seen) -> bool:
    """Tell whether an object that is not desired is one to be pruned: Argosy applied it."""
    return bool(seen.owned) and seen.ref.kind not in NEVER_PRUNED


async def plan_for(
    session: Session,
    owner: str,
    desired: Mapping[Ref, Obj],
    suspects: list[Ref],
    *,
    record: Record,
    hashes: Mapping[Ref, str],
) -> Plan:
    """Read the suspects that exist and plan what they need; note those that turn out to be in sync."""
    seen = session.view.of(owner)
    live = await fetch(session, [ref for ref in suspects if ref in seen])
    reasons: dict[Ref, str] = {}
    changing: list[Obj] = []
    for ref in suspects:
        entry, obj = record.entry(ref), live.get(ref)
        if obj is None:
            if entry is not None:
                reasons[ref] = "it was deleted"
            changing.append(desired[ref])
            continue
        owned = owned_hash(obj, FIELD_MANAGER)
        changes = diff(desired[ref], obj, manager=FIELD_MANAGER)
        drifted = entry is not None and entry.owned != owned
        if owned and not changes and not drifted:
            record.remember(ref, Entry(hashes[ref], owned))
            session.view.put(session.seen(obj))
            continue
        if drifted:
            reasons[ref] = drift_reason(obj, [change.path for change in changes])
        elif not changes:
            reasons[ref] = "Argosy does not own it yet"
        changing.append(desired[ref])
    gone = {ref for ref, known in seen.items() if ref not in desired and is_leftover(known)}
    return plan(
        changing,
        live,
        owned=gone | {ref_of(obj) for obj in changing},
        manager=FIELD_MANAGER,
        reasons=reasons,
    )


async def fetch(session: Session, refs: list[Ref]) -> dict[Ref, Obj]:
    """Read objects side by side; those that are gone are left out."""

    async def one(ref: Ref) -> tuple[Ref, Obj | None]:
        try:
            return ref, await session.client.get(resource_of(ref), ref.name, namespace=ref.namespace)
        except NotFound:
            return ref, None

    found = await asyncio.gather(*(one(ref) for ref in refs))
    return {ref: obj for ref, obj in found if obj is not None}


def drift_reason(live: Obj, paths: list[str]) -> str:
    """Say who changed what, as the API server remembers it."""
    culprits = changed_by(live, paths, ignoring=FIELD_MANAGER)
    who = ", ".join(f"{c.manager} at {c.time}" if c.time else c.manager for c in culprits) or "somebody"
    return f"drift: {who} changed {', '.join(paths) or 'its ownership'}"


def is_drift(step: Step, hashes: Mapping[Ref, str], record: Record) -> bool:
    """Tell whether a step only restores what was applied before."""
    entry = record.entry(step.ref)
    return entry is not None and entry.asked == hashes.get(step.ref)


def unhealthy_before(session: Session, owner: str, desired: Mapping[Ref, Obj], wave: int) -> list[Ref]:
    """Return the workloads of earlier waves that are not known to be healthy in their newest form."""
    seen = session.view.of(owner)
    return sorted(
        ref
        for ref, obj in desired.items()
        if ref.kind in WORKLOADS and wave_of(obj) < wave and not healthy(seen.get(ref))
    )


def healthy(seen: Seen | None) -> bool:
    """Tell whether a workload is known to be healthy."""
    return seen is not None and seen.health is not None and seen.health.healthy


def wave_name(wave: int, blocked: list[Ref]) -> str:
    """Say what is waited for."""
    return f"waiting for {', '.join(ref.name for ref in blocked)} before {WAVE_NAMES[wave]}"


def remember(session: Session, done: Done, record: Record) -> None:
    """Note a step in the record and in the view, which the watch would tell only later."""
    ref = done.step.ref
    if done.step.action is Action.PRUNE or done.live is None:
        record.forget(ref)
        session.view.drop(ref)
        return
    seen = session.seen(done.live)
    record.remember(ref, Entry(done.asked, seen.owned))
    session.view.put(seen)
