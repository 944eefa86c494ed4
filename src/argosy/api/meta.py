"""What all kinds have in common: group and version, object metadata, conditions.

Knows the Kubernetes API conventions; knows no kind.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, field

GROUP = "argosy.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

#: The one field manager under which Argosy applies objects.
FIELD_MANAGER = "argosy"
#: The namespace, on every target, that holds what Argosy keeps there: records, leases, releases.
SYSTEM_NAMESPACE = "argosy-system"
#: On the source: holds an Instance back until its deletion policy has been carried out.
FINALIZER = f"{GROUP}/instance"

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
INSTANCE_LABEL = f"{GROUP}/instance"
INSTANCE_NAMESPACE_LABEL = f"{GROUP}/instance-namespace"
COMPONENT_LABEL = "app.kubernetes.io/component"
#: On a namespace that Argosy created, and therefore may delete.
CREATED_ANNOTATION = f"{GROUP}/created"


def rule(expression: str, message: str, **extra: str) -> dict[str, str]:
    """Return one CEL validation rule in the form that a CRD schema takes."""
    return {"rule": expression, "message": message, **extra}


class ApiStruct(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of everything that is written to or read from an API server."""


class ObjectMeta(ApiStruct, frozen=True, kw_only=True):
    """The part of Kubernetes object metadata that Argosy reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    finalizers: list[str] = field(default_factory=list)
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class Condition(ApiStruct, frozen=True, kw_only=True, omit_defaults=False):
    """One observed aspect of an object, in the form of Kubernetes' own conditions."""

    type: Annotated[str, Meta(description="The aspect, for example Ready.")]
    status: Annotated[str, Meta(description="True, False or Unknown.", pattern="^(True|False|Unknown)$")]
    reason: Annotated[str, Meta(description="One documented CamelCase word: why the status is what it is.")]
    message: Annotated[str, Meta(description="What happened, and what to do about it.")]
    last_transition_time: Annotated[datetime, Meta(description="When the status last changed.")]
    observed_generation: Annotated[int, Meta(description="The generation of the spec that was judged.")] = 0


def condition(conditions: list[Condition], kind: str) -> Condition | None:
    """Return the condition of the given type, or None."""
    return next((c for c in conditions if c.type == kind), None)


def set_condition(
    conditions: list[Condition],
    kind: str,
    *,
    status: bool | None,
    reason: str,
    message: str,
    now: datetime,
    generation: int = 0,
) -> list[Condition]:
    """Return the conditions with one set; the transition time moves only when the status does."""
    word = {True: "True", False: "False", None: "Unknown"}[status]
    before = condition(conditions, kind)
    new = Condition(
        type=kind,
        status=word,
        reason=reason,
        message=message,
        last_transition_time=before.last_transition_time if before and before.status == word else now,
        observed_generation=generation,
    )
    if before is None:
        return [*conditions, new]
    return [new if c.type == kind else c for c in conditions]


def key_of(meta: ObjectMeta) -> str:
    """Return ``namespace/name``, by which an object is known in queues and logs."""
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


JsonObject = dict[str, Any]
