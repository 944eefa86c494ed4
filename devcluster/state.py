"""Where a cluster keeps what must survive its processes, and what identifies it.

Certificates, etcd data, logs and kubeconfig live in one folder per cluster below the user's state
folder; everything that can be built again is in the cache instead.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

HOST_ADDRESS = "10.89.0.1"
# The services folder (registry, Git server) lies beside the clusters; its name is no cluster name.
SERVICES = "_services"
NUMBERS = range(2, 101)  # the last byte of the address; 10.(100 + number) must stay a byte


@dataclass(frozen=True, kw_only=True)
class Record:
    """What identifies a cluster: its number gives all its addresses."""

    name: str
    number: int
    node: bool = True
    controllers: bool = True
    cut_from: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return state_dir() / self.name

    @property
    def address(self) -> str:
        """Its address on the bridge, where its API server and its node are."""
        return f"10.89.0.{self.number}"

    @property
    def pod_cidr(self) -> str:
        """Addresses of its pods."""
        return f"10.90.{self.number}.0/24"

    @property
    def service_prefix(self) -> str:
        """First two bytes of its service addresses: room for the services of a thousand instances."""
        return f"10.{100 + self.number}"

    def save(self) -> None:
        """Write the record in one step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / "cluster.json.new"
        scratch.write_text(json.dumps(asdict(self)))
        scratch.rename(self.folder / "cluster.json")


def state_dir() -> Path:
    """Return the folder of all clusters (XDG base directory rules)."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(base) / "argosy-devcluster"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def records() -> list[Record]:
    """List the clusters that have a record, by name."""
    return [load(path.parent.name) for path in sorted(state_dir().glob("*/cluster.json"))]


def load(name: str) -> Record:
    """Read the record of a cluster; LookupError if there is none."""
    try:
        fields = json.loads((state_dir() / name / "cluster.json").read_text())
    except FileNotFoundError:
        raise LookupError(f"no cluster {name!r}; 'python -m devcluster up {name}' makes one") from None
    return Record(**{**fields, "cut_from": tuple(fields["cut_from"])})


def claim(name: str, *, node: bool, controllers: bool) -> Record:
    """Return the cluster's record, made if there is none yet; a cluster grows but never shrinks."""
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?", name):
        raise ValueError(f"cluster name {name!r}: use up to 32 lower-case letters, digits and '-'")
    try:
        record = load(name)
        record = replace(record, node=record.node or node, controllers=record.controllers or controllers)
    except LookupError:
        taken = {other.number for other in records()}
        number = next((n for n in NUMBERS if n not in taken), None)
        if number is None:
            raise ValueError(f"{len(taken)} clusters exist already; take one down first") from None
        record = Record(name=name, number=number, node=node, controllers=controllers)
    record.save()
    return record


@contextmanager
def lock() -> Iterator[None]:
    """Keep two commands from changing the same things: bridge, numbers, folders."""
    with (state_dir() / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
