"""From what is desired and what is live to a Plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from argosy.kube.objects import Obj, Ref, ref_of
from argosy.plan.diff import diff
from argosy.plan.model import Action, FieldChange, Plan, Step
from argosy.plan.order import PRUNES, wave_of

#: Fields that the API server never lets change, by kind (Kubernetes API reference). What is not
#: listed is learned from the server's refusal, and then planned with ``force_recreate``.
IMMUTABLE: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector.*",),
    "DaemonSet": ("spec.selector.*",),
    "StatefulSet": (
        "spec.selector.*",
        "spec.serviceName",
        "spec.podManagementPolicy",
        "spec.volumeClaimTemplates*",
    ),
    "Job": ("spec.selector.*", "spec.template.*"),
    "RoleBinding": ("roleRef.*",),
    "ClusterRoleBinding": ("roleRef.*",),
    "Secret": ("type",),
}

#: How many fields a reason names.
NAMED = 4
#: The reason of a creation that nothing else explains.
NEW = "new"


def plan(
    desired: Iterable[Obj],
    live: Mapping[Ref, Obj],
    *,
    owned: Iterable[Ref],
    manager: str,
    reasons: Mapping[Ref, str] | None = None,
    force_recreate: Iterable[Ref] = (),
) -> Plan:
    """Return the steps that make ``live`` as desired.

    ``owned`` are the objects that Argosy applied for this Instance and that still exist: those no
    longer desired are pruned. ``reasons`` overrides the reason of a change (who caused a drift).
    """
    wanted = {ref_of(obj): obj for obj in desired}
    forced = set(force_recreate)
    steps = [
        step
        for ref, obj in wanted.items()
        if (
            step := step_for(
                ref,
                obj,
                live.get(ref),
                manager=manager,
                force_recreate=ref in forced,
                reason=(reasons or {}).get(ref),
            )
        )
    ]
    gone = set(owned) - set(wanted)
    # Prunes come last: what is not wanted any more may still be in use until the rest is healthy.
    steps += [Step(action=Action.PRUNE, ref=ref, wave=PRUNES, reason="no longer desired") for ref in gone]
    return Plan(steps=tuple(sorted(steps, key=lambda step: (step.wave, step.ref))))


def step_for(
    ref: Ref, desired: Obj, live: Obj | None, *, manager: str, force_recreate: bool, reason: str | None
) -> Step | None:
    """Decide what one object needs, if anything."""
    wave = wave_of(desired)
    if live is None:
        return Step(action=Action.CREATE, ref=ref, wave=wave, reason=reason or NEW, desired=desired)
    changes = diff(desired, live, manager=manager)
    frozen = immutable_changes(ref.kind, changes)
    if frozen or force_recreate:
        why = paths(frozen) or "a field the API server will not change"
        return Step(
            action=Action.RECREATE,
            ref=ref,
            wave=wave,
            reason=f"{why} is immutable",
            desired=desired,
            changes=changes,
        )
    if changes or reason:
        why = reason or f"to change {paths(changes)}"
        return Step(action=Action.CHANGE, ref=ref, wave=wave, reason=why, desired=desired, changes=changes)
    return None


def paths(changes: Iterable[FieldChange]) -> str:
    """Name the fields that change, the first few of many."""
    names = [change.path for change in changes]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def immutable_changes(kind: str, changes: Iterable[FieldChange]) -> list[FieldChange]:
    """Return those changes that the API server would refuse for good."""
    patterns = IMMUTABLE.get(kind, ())
    return [c for c in changes if any(fnmatchcase(c.path, pattern) for pattern in patterns)]
