"""What Argosy applied for an Instance, kept on the target beside it.

The record says for every object what was asked (hash of the desired object) and what came of it
(hash of Argosy's ownership entry). As long as both are equal to what is desired and live, the
object is in sync, and nothing needs to be read or sent. It also keeps the Instance as it was last
seen, so that a worker that cannot reach its source goes on from there.

Losing a record loses nothing but time: objects are found again by their labels.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from argosy.api.meta import FIELD_MANAGER, GROUP, SYSTEM_NAMESPACE
from argosy.kube.client import Client
from argosy.kube.errors import NotFound
from argosy.kube.objects import CONFIG_MAP, Obj, Ref

RECORD_LABEL = f"{GROUP}/record"
#: The owner of what all Instances of a target share.
SHARED = ""
_KEY = "record"
_SHARED_NAME = "shared"


class Entry(Struct, frozen=True, array_like=True):
    """One object: hash of what was asked, hash of what Argosy owned after that."""

    asked: str
    owned: str


class Orphans(Struct, frozen=True):
    """Pods and ReplicaSets that a recreation left behind, by the selector they were under."""

    namespace: str
    selector: str


class Record(Struct):
    """All that is remembered of one Instance on its target.

    ``inputs`` is the hash of everything that went into the last rendering that was carried out to
    its end; it is empty until the first installation is complete.
    """

    instance: Any = None
    inputs: str = ""
    objects: dict[str, Entry] = field(default_factory=dict)
    orphans: list[Orphans] = field(default_factory=list)

    def refs(self) -> set[Ref]:
        """Return the objects that were applied."""
        return {Ref(*name.split("|")) for name in self.objects}

    def entry(self, ref: Ref) -> Entry | None:
        """Return what is remembered of one object."""
        return self.objects.get("|".join(ref))

    def remember(self, ref: Ref, entry: Entry) -> None:
        """Note that an object was applied."""
        self.objects["|".join(ref)] = entry

    def forget(self, ref: Ref) -> None:
        """Note that an object is gone."""
        self.objects.pop("|".join(ref), None)


def record_name(owner: str) -> str:
    """Return the ConfigMap's name for an owner; dots occur neither in namespaces nor in names."""
    return f"instance.{owner.replace('/', '.')}" if owner else _SHARED_NAME


def owner_key(config_map: Obj) -> str:
    """Return the owner whose record a ConfigMap is: an Instance's ``namespace/name``, or `SHARED`."""
    name = config_map["metadata"]["name"]
    return SHARED if name == _SHARED_NAME else name.removeprefix("instance.").replace(".", "/", 1)


def decode_record(config_map: Obj) -> Record:
    """Read a record; one that cannot be read counts as lost, which is harmless."""
    try:
        return msgspec.json.decode(config_map.get("data", {}).get(_KEY, "{}"), type=Record)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return Record()


async def save_record(client: Client, owner: str, record: Record) -> None:
    """Write a record, whole."""
    await client.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": record_name(owner),
                "namespace": SYSTEM_NAMESPACE,
                # Not among the labels of what is applied: a record is no object of an Instance.
                "labels": {RECORD_LABEL: "true"},
            },
            "data": {_KEY: msgspec.json.encode(record).decode()},
        },
        field_manager=FIELD_MANAGER,
    )


async def delete_record(client: Client, owner: str) -> None:
    """Forget an Instance for good."""
    try:
        await client.delete(CONFIG_MAP, record_name(owner), namespace=SYSTEM_NAMESPACE)
    except NotFound:
        return
