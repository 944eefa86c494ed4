"""What is wrong with an Instance's settings for its release. Pure; returns all findings at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.resources import files

import yaml

from argosy.api.instance import Instance
from argosy.api.target import Facts
from argosy.kube.objects import HTTP_ROUTE

#: Where in ``dex.config`` and ``oidc.config`` secrets stand.
SECRET_WORDS = ("secret", "password", "bindpw", "token", "privatekey")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong: the field, and what to do."""

    field: str
    message: str

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.field}: {self.message}"


@lru_cache
def reserved() -> dict[str, dict[str, str]]:
    """Read the keys that Argosy sets itself."""
    return tomllib.loads(files(__package__).joinpath("reserved.toml").read_text())


def check(
    instance: Instance, *, config_keys: Iterable[str], param_keys: Iterable[str], facts: Facts | None
) -> list[Problem]:
    """Return all problems. Empty key lists and no facts mean that nothing is known to check against."""
    spec = instance.spec
    found = [
        *keys("config", spec.config, list(config_keys)),
        *keys("params", spec.params, list(param_keys)),
        *plain_secrets(spec.config),
    ]
    if spec.server.gateway is not None and facts is not None and HTTP_ROUTE.group not in facts.api_groups:
        found.append(
            Problem(
                field="spec.server.gateway",
                message=f"the target has no {HTTP_ROUTE.group}; install the Gateway API or use ingress",
            )
        )
    return found


def keys(table: str, given: dict[str, str], known: list[str]) -> Iterator[Problem]:
    """Check the keys of one ConfigMap."""
    owned = reserved()[table]
    for key in sorted(given):
        field = f"spec.{table}[{key}]"
        if key in owned:
            yield Problem(field=field, message=f"Argosy sets this key; use {owned[key]}")
        elif known and not any(fnmatchcase(key, glob) for glob in known):
            yield Problem(
                field=field, message="this release does not know the key; check its spelling and version"
            )


def plain_secrets(config: dict[str, str]) -> Iterator[Problem]:
    """Find secrets that stand in a ConfigMap in plain text, where everybody can read them."""
    for key in ("dex.config", "oidc.config"):
        if key not in config:
            continue
        try:
            tree = yaml.load(config[key], Loader=yaml.CSafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f" in line {mark.line + 1}" if mark else ""
            yield Problem(field=f"spec.config[{key}]", message=f"not valid YAML{where}")
            continue
        for path, value in leaves(tree):
            name = path.rpartition(".")[2].lower()
            if (
                any(word in name for word in SECRET_WORDS)
                and isinstance(value, str)
                and not value.startswith("$")
            ):
                yield Problem(
                    field=f"spec.config[{key}]",
                    message=f"{path} stands in plain text; put it into a Secret and write $<secret>:<key>",
                )


def leaves(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield all values of a tree with their paths."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from leaves(value, f"{path}[{number}]")
    else:
        yield path, tree
