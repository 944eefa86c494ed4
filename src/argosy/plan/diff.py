"""Tell how a live object differs from the desired one, the way server-side apply sees it.

Pure. Fields that the desired object does not name belong to somebody else and are no difference,
unless Argosy owned them before: then they are to be removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from argosy.kube.objects import Obj
from argosy.plan.model import FieldChange

#: List fields whose items are told apart by keys (Kubernetes' patch merge keys and list-map keys).
LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "hostAliases": ("ip",),
}
#: Values that the API server fills in where a list key is left out.
KEY_DEFAULTS = {"protocol": "TCP"}
#: Maps whose values are quantities, which the API server may write in another form.
QUANTITY_FIELDS = {"limits", "requests", "hard"}
#: What the server maintains by itself, or what names the object.
IGNORED = {"apiVersion", "kind", "status"}
METADATA = ("labels", "annotations", "ownerReferences", "finalizers")

QUANTITY = re.compile(r"^([+-]?[0-9.]+)([eE][+-]?[0-9]+|m|u|n|[kMGTPE]i?|Ki)?$")
SUFFIXES = {
    **{
        suffix: Decimal(10) ** power
        for suffix, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=False)
    },
    **{f"{s}i": Decimal(1024) ** power for power, s in enumerate("KMGTPE", start=1)},
}


def diff(desired: Obj, live: Obj, *, manager: str) -> tuple[FieldChange, ...]:
    """Return the fields in which ``live`` must change to be as desired, in the order of their paths."""
    wanted, found = comparable(desired), comparable(live)
    changes = [*differences("", wanted, found), *abandoned(wanted, live, found, manager)]
    return tuple(sorted(changes, key=lambda change: change.path))


def comparable(obj: Obj) -> Obj:
    """Return the part of an object that can be applied."""
    body = {key: value for key, value in obj.items() if key not in IGNORED}
    body["metadata"] = {key: value for key, value in obj["metadata"].items() if key in METADATA}
    return body


def differences(path: str, desired: Any, live: Any) -> Iterator[FieldChange]:
    """Yield where ``live`` lacks or contradicts what ``desired`` says."""
    if isinstance(desired, dict) and isinstance(live, dict):
        quantities = path.rpartition(".")[2] in QUANTITY_FIELDS
        for key, value in desired.items():
            inner = f"{path}.{key}" if path else key
            if quantities and same_quantity(value, live.get(key)):
                continue
            yield from differences(inner, value, live.get(key))
    elif isinstance(desired, list) and isinstance(live, list):
        yield from list_differences(path, desired, live)
    elif desired != live and not (empty(desired) and empty(live)):
        yield FieldChange(path=path, before=live, after=desired)


def list_differences(path: str, desired: list[Any], live: list[Any]) -> Iterator[FieldChange]:
    """Compare lists: by key where Kubernetes merges them, else as one value."""
    keys = LIST_KEYS.get(path.rpartition(".")[2])
    if keys and all(isinstance(item, dict) for item in [*desired, *live]):
        by_key = {list_key(item, keys): item for item in live}
        for item in desired:
            key = list_key(item, keys)
            label = ",".join(str(part) for part in key if part is not None)
            yield from differences(f"{path}[{label}]", item, by_key.get(key))
        return
    if len(desired) != len(live) or any(
        next(differences("", wanted, found), None) for wanted, found in zip(desired, live, strict=False)
    ):
        yield FieldChange(path=path, before=live, after=desired)


def list_key(item: Obj, keys: tuple[str, ...]) -> tuple[Any, ...]:
    """Return what tells one item of a keyed list from the others."""
    return tuple(item.get(key, KEY_DEFAULTS.get(key)) for key in keys)


def empty(value: Any) -> bool:
    """Tell whether a value is one that API servers drop or add freely."""
    return value is None or value in ({}, [], "")


def same_quantity(one: Any, other: Any) -> bool:
    """Tell whether two quantities are the same amount, such as 0.5 and 500m."""
    amounts = [amount(value) for value in (one, other)]
    return None not in amounts and amounts[0] == amounts[1]


def amount(value: Any) -> Decimal | None:
    """Return a quantity as a number, or None if it is not one."""
    match = QUANTITY.match(str(value))
    if match is None:
        return None
    digits, suffix = match.groups()
    if suffix and suffix[0] in "eE" and len(suffix) > 1 and suffix[1] != "i":
        return Decimal(digits + suffix)
    return Decimal(digits) * (SUFFIXES[suffix] if suffix else 1)


def abandoned(desired: Obj, live_object: Obj, live: Obj, manager: str) -> Iterator[FieldChange]:
    """Yield the fields that Argosy applied once and no longer wants."""
    for entry in live_object["metadata"].get("managedFields", ()):
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            yield from owned_leftovers("", entry.get("fieldsV1", {}), desired, live)


def owned_leftovers(path: str, fields: Obj, desired: Any, live: Any) -> Iterator[FieldChange]:
    """Walk an ownership set (``fieldsV1``) beside the desired value.

    ``f:name`` is a field, ``k:{...}`` an item of a keyed list, ``v:...`` an item of a set;
    ``.`` says that the thing itself is owned.
    """
    for owned, inner in fields.items():
        kind, _, name = owned.partition(":")
        if kind == "f":
            if not path and name in IGNORED:
                continue
            wanted = desired.get(name) if isinstance(desired, dict) else None
            found = live.get(name) if isinstance(live, dict) else None
            label = f"{path}.{name}" if path else name
        elif kind in ("k", "v"):
            key = msgspec.json.decode(name)
            wanted, found = item_of(desired, key), item_of(live, key)
            label = f"{path}[{','.join(map(str, key.values())) if isinstance(key, dict) else key}]"
        else:
            continue
        if wanted is None and not empty(found):
            yield FieldChange(path=label, before=found, after=None)
        elif inner and wanted is not None:
            yield from owned_leftovers(label, inner, wanted, found)


def item_of(items: Any, key: Any) -> Any:
    """Return the item of a list that has the given keys, or is the given value."""
    if not isinstance(items, list):
        return None
    if isinstance(key, dict):
        matches = (
            item
            for item in items
            if isinstance(item, dict)
            and all(item.get(name, KEY_DEFAULTS.get(name)) == value for name, value in key.items())
        )
        return next(matches, None)
    return key if key in items else None
