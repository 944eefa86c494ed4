"""Reconcile one Instance: load, guards, then render, plan, apply, observe, status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
import structlog

from argosy.api.instance import ActionStatus, Instance, InstanceStatus
from argosy.api.meta import API_VERSION, FINALIZER
from argosy.api.reasons import InstanceReason as Reason
from argosy.api.target import Facts
from argosy.apply.record import Record, save_record
from argosy.controllers.deletion import take_away
from argosy.controllers.rendering import Rendering
from argosy.controllers.session import Session
from argosy.controllers.source import INSTANCE, Source
from argosy.controllers.status import StatusKey, StatusWriter
from argosy.controllers.sync import Result, sync, untouched
from argosy.kube.errors import ApiError, Forbidden, Invalid, Unavailable
from argosy.kube.events import Recorder
from argosy.kube.objects import Obj, Ref, resource_of
from argosy.observe.cause import Cause, find_cause, gather_evidence
from argosy.observe.conditions import Findings, next_status
from argosy.plan.build import NEW
from argosy.plan.model import Action, Step
from argosy.rules.guards import Finding, Situation, judge, kubernetes_fits

log = structlog.get_logger(__name__)

#: How long a workload may take to become healthy before a person is asked for, in seconds.
HEALTH_TIMEOUT = 600.0
#: How long it may take before its cause is looked for, in seconds; and for how many workloads.
GRACE, EXPLAINED = 10.0, 3
#: How soon to look again, in seconds: at something under way, at something that a person must
#: change, and at an Instance that waits for its deletion.
SOON, LATER, DELETING = 5.0, 60.0, 1.0


class InstanceController:
    """Makes each Instance's Argo CD what its spec says."""

    def __init__(
        self,
        source: Source,
        *,
        sessions: Callable[[Instance], Session | None],
        statuses: StatusWriter,
        recorder: Recorder,
        clock: Callable[[], datetime],
    ) -> None:
        """Read Instances from ``source``, reach their targets by ``sessions``, tell by the others."""
        self._source = source
        self._sessions = sessions
        self._statuses = statuses
        self._recorder = recorder
        self._clock = clock
        self._rendering = Rendering()
        self._waiting_since: dict[str, datetime] = {}
        self._told: dict[str, InstanceStatus] = {}

    async def reconcile(self, key: str) -> float | None:
        """Bring one Instance closer to its spec; return in how many seconds to look again.

        1. Load it. 2. Take it away, if it is being deleted. 3. Keep hands off, if it is paused.
        4. Judge whether it can go on. 5. Render, plan, apply. 6. Observe and tell.
        """
        now = self._clock()
        instance = self._source.instances.objects.get(key)
        if instance is None:
            self._waiting_since.pop(key, None)
            self._told.pop(key, None)
            return None
        session = self._sessions(instance)
        if instance.metadata.deletion_timestamp:
            return await self._delete(instance, session)
        pause = instance.spec.pause
        if pause is not None and pause.until > now:
            message = f"paused until {pause.until:%Y-%m-%d %H:%M %Z}: {pause.reason}"
            workloads = session.view.workloads(key) if session else {}
            self._tell(instance, Findings(reason=Reason.PAUSED, message=message, workloads=workloads))
            return (pause.until - now).total_seconds()
        situation = self._situation(instance, session, now)
        finding = judge(situation) or self._rendering.check(situation)
        if finding or session is None:
            return self._hold(instance, session, finding)
        if FINALIZER not in instance.metadata.finalizers:
            await self._hold_back(instance)
        record = session.records.setdefault(key, Record())
        result = await self._apply(instance, session, situation, record)
        return await self._observe(instance, session, situation, result)

    async def _apply(
        self, instance: Instance, session: Session, situation: Situation, record: Record
    ) -> Result:
        """Render, plan and apply, unless hashes alone tell that there is nothing to do.

        A rollout that is cut off before its end leaves the record as it was: what was applied by
        then is found again by its labels.
        """
        inputs = self._rendering.inputs(situation)
        rollout = record.inputs != inputs
        if not rollout and untouched(session, instance.key, record):
            return Result()
        known = msgspec.json.encode(record)
        desired = self._rendering.render(situation)
        result = await sync(session, instance.key, desired, record, rollout=rollout)
        if result.complete:
            record.inputs = inputs
            record.instance = kept_form(instance)
        if (result.complete or not rollout) and msgspec.json.encode(record) != known:
            await save_record(session.client, instance.key, record)
        return result

    async def _observe(
        self, instance: Instance, session: Session, situation: Situation, result: Result
    ) -> float | None:
        """Judge what is live after an attempt, tell it, and say when to look again."""
        workloads = session.view.workloads(instance.key)
        unhealthy = sorted(ref for ref, health in workloads.items() if health is None or not health.healthy)
        waited = self._waited(instance.key, bool(unhealthy or result.waiting))
        causes = await find_causes(session, unhealthy) if waited > GRACE else {}
        reason, message = verdict(instance, result, unhealthy, causes)
        stalled = bool(result.failed) or waited > HEALTH_TIMEOUT
        unsupported = kubernetes_fits(situation)
        self._tell(
            instance,
            Findings(
                reason=reason,
                message=message,
                stalled=stalled,
                applied=result.complete,
                objects=len(session.view.of(instance.key)),
                workloads=workloads,
                causes=causes,
                actions=[action_of(done.step, self._clock()) for done in result.done if is_news(done.step)],
                unsupported=unsupported.message if unsupported else "",
            ),
        )
        for done in result.done:
            if is_news(done.step):
                await self._recorder.tell(
                    reference(instance),
                    reason=EVENT_REASONS[done.step.action],
                    message=f"{done.step.ref}: {done.step.reason}",
                )
        if result.failed:
            await self._recorder.tell(reference(instance), reason=reason, message=message, warning=True)
            return LATER
        return SOON if unhealthy or result.waiting else None

    async def _delete(self, instance: Instance, session: Session | None) -> float | None:
        """Carry out the deletion policy, then let the Instance go."""
        if FINALIZER not in instance.metadata.finalizers:
            return None
        if instance.spec.termination_protection:
            message = "set spec.terminationProtection to false if it shall really be deleted"
            self._tell(instance, Findings(reason=Reason.DELETION_REFUSED, message=message, stalled=True))
            return None
        if session is None:
            message = "its target is not reached; it is taken away as soon as it is"
            self._tell(instance, Findings(reason=Reason.TARGET_NOT_READY, message=message))
            return LATER
        progress = await take_away(session, instance)
        if progress.waiting:
            self._tell(instance, Findings(reason=Reason.DELETING, message=progress.waiting))
            return DELETING
        kept = [name for name in instance.metadata.finalizers if name != FINALIZER]
        await self._set_finalizers(instance, kept)
        return None

    async def _hold_back(self, instance: Instance) -> None:
        """Have the source keep the Instance until its deletion policy has been carried out."""
        await self._set_finalizers(instance, [*instance.metadata.finalizers, FINALIZER])

    async def _set_finalizers(self, instance: Instance, finalizers: list[str]) -> None:
        meta = instance.metadata
        patch = {"metadata": {"finalizers": finalizers, "resourceVersion": meta.resource_version}}
        await self._source.client.patch(INSTANCE, meta.name, patch, namespace=meta.namespace)

    def _hold(self, instance: Instance, session: Session | None, finding: Finding | None) -> float:
        """Tell why an Instance cannot go on."""
        reason = finding.reason if finding else Reason.TARGET_NOT_READY
        message = finding.message if finding else "no worker serves the target yet"
        waits = reason in (Reason.TARGET_NOT_READY, Reason.RELEASE_NOT_FOUND, Reason.TARGET_NOT_FOUND)
        self._tell(
            instance,
            Findings(
                reason=reason,
                message=message,
                stalled=not waits,
                workloads=session.view.workloads(instance.key) if session else {},
            ),
        )
        return LATER

    def _situation(self, instance: Instance, session: Session | None, now: datetime) -> Situation:
        target = self._source.target_of(instance)
        return Situation(
            instance=instance,
            target=target,
            release=self._source.release_of(instance),
            neighbours=tuple(
                other
                for other in (self._source.on_target(target) if target else [])
                if other.key != instance.key
            ),
            facts=session.facts if session else Facts(),
            connected=session is not None,
            now=now,
        )

    def _waited(self, key: str, waiting: bool) -> float:  # noqa: FBT001 - reads as a sentence
        """Return for how long an Instance has not been healthy, in seconds."""
        if not waiting:
            self._waiting_since.pop(key, None)
            return 0.0
        now = self._clock()
        return (now - self._waiting_since.setdefault(key, now)).total_seconds()

    def _tell(self, instance: Instance, findings: Findings) -> None:
        """Have the status written, if it says anything new."""
        told = self._told.get(instance.key, instance.status)
        status = next_status(instance, told, findings, now=self._clock())
        if status != instance.status:
            self._told[instance.key] = status
            self._statuses.put(
                StatusKey(INSTANCE, instance.metadata.namespace, instance.metadata.name), status
            )


EVENT_REASONS = {
    Action.CREATE: Reason.CREATED,
    Action.CHANGE: Reason.CHANGED,
    Action.RECREATE: Reason.RECREATED,
    Action.PRUNE: Reason.PRUNED,
}


def is_news(step: Step) -> bool:
    """Tell whether a step is worth telling: a first installation's sixty creations are not."""
    return step.action is not Action.CREATE or step.reason != NEW


def action_of(step: Step, now: datetime) -> ActionStatus:
    """Return a step as the status tells it."""
    return ActionStatus(time=now, action=step.action, object=str(step.ref), reason=step.reason)


def verdict(
    instance: Instance, result: Result, unhealthy: list[Ref], causes: Mapping[Ref, Cause]
) -> tuple[Reason, str]:
    """Return the one reason and message that matter most."""
    if result.failed:
        failed = result.failed[0]
        return refusal(failed.error), f"{failed.step.ref}: {failed.error.message}"
    if causes:
        ref, cause = next(iter(causes.items()))
        return cause.reason, f"{ref.name}: {cause.message}"
    if result.waiting:
        return Reason.PROGRESSING, result.waiting
    if unhealthy:
        return Reason.UNHEALTHY, f"not healthy: {', '.join(ref.name for ref in unhealthy)}"
    return Reason.HEALTHY, f"Argo CD {instance.spec.version} is healthy in namespace {instance.namespace}"


def refusal(error: ApiError) -> Reason:
    """Return what a refused write means."""
    if "exceeded quota" in error.message:
        return Reason.QUOTA_EXCEEDED
    if isinstance(error, Forbidden | Invalid) and ("denied" in error.message or "admission" in error.message):
        return Reason.ADMISSION_REFUSED
    if isinstance(error, Unavailable):
        return Reason.TARGET_UNREACHABLE
    return Reason.APPLY_FAILED


async def find_causes(session: Session, unhealthy: list[Ref]) -> dict[Ref, Cause]:
    """Find out why workloads are not healthy, as far as Kubernetes tells."""
    causes: dict[Ref, Cause] = {}
    for ref in unhealthy[:EXPLAINED]:
        try:
            workload = await session.client.get(resource_of(ref), ref.name, namespace=ref.namespace)
            cause = find_cause(await gather_evidence(session.client, workload, ref))
        except ApiError as error:
            log.info("cause not found", workload=str(ref), error=str(error))
            continue
        if cause:
            causes[ref] = cause
    return causes


def kept_form(instance: Instance) -> Obj:
    """Return an Instance as it is kept on its target: what it should be, not what it was."""
    builtins: Obj = msgspec.to_builtins(Instance(metadata=instance.metadata, spec=instance.spec))
    return builtins


def reference(instance: Instance) -> Obj:
    """Return what an Event needs to name an Instance."""
    meta = instance.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": "Instance",
        "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
    }
