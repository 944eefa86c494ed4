"""The CustomResourceDefinitions of Argosy's kinds, made from their Structs.

``python -m argosy.api.crd FOLDER`` writes them as YAML files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from argosy.api.instance import SPEC_RULES, Instance
from argosy.api.meta import GROUP, VERSION, rule
from argosy.api.release import IMMUTABLE_SPEC, Release
from argosy.api.schema import VALIDATIONS, structural_schema
from argosy.api.target import CONNECTION_RULES, Target

Obj = dict[str, Any]

#: CEL rules over several fields, by the Struct that they are for.
RULES = {"InstanceSpec": SPEC_RULES, "Connection": CONNECTION_RULES, "ReleaseSpec": [IMMUTABLE_SPEC]}
NAME_RULE = rule(
    "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "metadata.name must be at most 40 lower-case letters, digits and dashes: other names are made from it",
)


def column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Obj:
    """Return one column of ``kubectl get``."""
    return {"name": name, "type": kind, "jsonPath": path, **({"priority": 1} if wide else {})}


def condition_column(name: str, field: str, *, wide: bool = False) -> Obj:
    """Return a column that shows the Ready condition."""
    return column(name, f'.status.conditions[?(@.type=="Ready")].{field}', wide=wide)


AGE = column("Age", ".metadata.creationTimestamp", "date")
COLUMNS = {
    "Instance": [
        condition_column("Ready", "status"),
        condition_column("Reason", "reason"),
        column("Version", ".status.version"),
        column("Target", ".spec.target"),
        column("Owner", ".spec.owner.team"),
        column("Size", ".spec.size", wide=True),
        condition_column("Message", "message", wide=True),
        AGE,
    ],
    "Target": [
        condition_column("Ready", "status"),
        column("Connection", ".spec.connection.type"),
        column("Kubernetes", ".status.facts.kubernetes"),
        column("CRDs", ".status.crds"),
        column("Instances", ".status.instances", "integer"),
        condition_column("Message", "message", wide=True),
        AGE,
    ],
    "Release": [
        condition_column("Ready", "status"),
        condition_column("Reason", "reason"),
        column("From", ".spec.kubernetes.min"),
        column("To", ".spec.kubernetes.max"),
        column("Support End", ".spec.supportEnd"),
        AGE,
    ],
}


def crd(kind: type[Struct], *, plural: str, short: str, namespaced: bool) -> Obj:
    """Return the CustomResourceDefinition of one kind."""
    name = kind.__name__
    schema = structural_schema(kind, rules=RULES)
    schema["description"] = (kind.__doc__ or "").strip()
    schema[VALIDATIONS] = [NAME_RULE] if namespaced else []
    if not schema[VALIDATIONS]:
        del schema[VALIDATIONS]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": plural,
                "singular": name.lower(),
                "shortNames": [short],
                "categories": ["argosy"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": COLUMNS[name],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def crds() -> list[Obj]:
    """Return all of Argosy's CustomResourceDefinitions."""
    return [
        crd(Instance, plural="instances", short="ainst", namespaced=True),
        crd(Release, plural="releases", short="arel", namespaced=False),
        crd(Target, plural="targets", short="atgt", namespaced=True),
    ]


def write(folder: Path) -> None:
    """Write one YAML file for each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    for found in crds():
        text = yaml.dump(found, Dumper=yaml.CSafeDumper, sort_keys=False, width=100)
        (folder / f"{found['spec']['names']['plural']}.yaml").write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
