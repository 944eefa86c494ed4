"""What a Plan is: steps in waves, each with its reason. Values only; nothing here acts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from argosy.kube.objects import Obj, Ref


class Action(StrEnum):
    """What a step does to its object."""

    CREATE = "Create"
    CHANGE = "Change"
    RECREATE = "Recreate"
    PRUNE = "Prune"


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One field that differs, by its path; ``None`` stands for absent."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do: the action, the object, its wave, and why.

    ``desired`` is None for a prune. ``changes`` explains a Change or a Recreate, field by field.
    """

    action: Action
    ref: Ref
    wave: int
    reason: str
    desired: Obj | None = None
    changes: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Steps ordered by wave; an empty Plan sends nothing."""

    steps: tuple[Step, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything to do."""
        return bool(self.steps)

    def waves(self) -> list[tuple[int, list[Step]]]:
        """Return the steps grouped by wave, in order."""
        grouped: dict[int, list[Step]] = {}
        for step in self.steps:
            grouped.setdefault(step.wave, []).append(step)
        return sorted(grouped.items())
