"""Build the parts of a cluster from their Go modules, once, into the cache.

Knows Go modules and nothing of Kubernetes; what to build is data (``parts.toml``).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from devcluster.cache import cache_dir, entry

PARTS_FILE = Path(__file__).with_name("parts.toml")
# A Go build uses every core by itself; two at once overlap one's downloads and linking with the
# other's compiling.
PARALLEL_BUILDS = 2


class BuildError(RuntimeError):
    """A part could not be built; the message says which, and where its log is."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One Go module and the programs that are built from it (see ``parts.toml``)."""

    name: str
    module: str
    version: str
    binaries: dict[str, str]
    cgo: bool = False
    tags: list[str] = field(default_factory=list)
    x: dict[str, str] = field(default_factory=dict)
    staging: dict[str, str] = field(default_factory=dict)
    replace: dict[str, str] = field(default_factory=dict)
    keep: list[str] = field(default_factory=list)

    def key(self, go_version: str) -> str:
        """Name the cache entry: whatever changes the result changes the key."""
        recipe = json.dumps([self.__dict__, go_version], sort_keys=True)
        return f"{self.name}-{self.version}-{hashlib.sha256(recipe.encode()).hexdigest()[:10]}"


def load_parts() -> dict[str, Part]:
    """Read ``parts.toml`` into parts by name."""
    table = tomllib.loads(PARTS_FILE.read_text())["part"]
    return {name: Part(name=name, **fields) for name, fields in table.items()}


def go_binary() -> str:
    """Find the Go toolchain that the lock file brings, beside this interpreter."""
    candidate = Path(sys.executable).parent / "go"
    if candidate.exists():
        return str(candidate)
    raise BuildError(f"no Go toolchain at {candidate}; run 'make venv', which installs it")


def go(*args: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run ``go`` and return what it printed; raise BuildError with its own words."""
    done = subprocess.run(
        [go_binary(), *args],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"go {' '.join(args[:3])}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def build_all(names: Iterable[str]) -> dict[str, Path]:
    """Build the named parts that are missing and return each part's folder.

    Interrupted work is cheap to take up again: finished parts stay, and Go's own build cache
    holds the packages of the unfinished ones.
    """
    parts = load_parts()
    wanted = [parts[name] for name in dict.fromkeys(names)]
    go_version = go("env", "GOVERSION").strip()
    missing = [part for part in wanted if not part_dir(part, go_version).exists()]
    started = time.monotonic()
    finished = 0

    def build_and_tell(part: Part) -> None:
        nonlocal finished
        say(f"building {part.name} {part.version}")
        began = time.monotonic()
        build(part, go_version)
        finished += 1
        took, total = time.monotonic() - began, time.monotonic() - started
        say(f"built {part.name} in {took:.0f} s ({finished} of {len(missing)}, {total:.0f} s so far)")

    with ThreadPoolExecutor(PARALLEL_BUILDS) as pool:
        try:
            list(pool.map(build_and_tell, missing))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {part.name: part_dir(part, go_version) for part in wanted}


def part_dir(part: Part, go_version: str) -> Path:
    """Return where a part's programs are, or would be, once built."""
    return cache_dir() / "parts" / part.key(go_version)


def build(part: Part, go_version: str) -> Path:
    """Build one part into the cache, unless it is there."""
    with entry("parts", part.key(go_version)) as (final, scratch):
        if scratch is None:
            return final
        source = Path(json.loads(go("mod", "download", "-json", f"{part.module}@{part.version}"))["Dir"])
        with tempfile.TemporaryDirectory(prefix="argosy-build-") as work:
            write_module(part, source, Path(work))
            for number, (binary, package) in enumerate(part.binaries.items(), 1):
                if len(part.binaries) > 1:
                    say(f"building {part.name}: {binary} ({number} of {len(part.binaries)})")
                compile_binary(part, binary, package, Path(work), scratch)
        for name in part.keep:
            shutil.copytree(source / name, scratch / name, copy_function=shutil.copyfile)
            for path in [scratch / name, *(scratch / name).rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)  # the module cache is read-only
    return final


def write_module(part: Part, source: Path, work: Path) -> None:
    """Write the go.mod and go.sum from which a part is built.

    A module's ``replace`` lines hold only while it is the main module, so they are said again
    here: those to other modules as they are, those to local paths by their published versions.
    The go.sum starts from the module's own, because some checksums can be had there only.
    """
    replaces = dict(part.replace)
    for rule in json.loads(go("mod", "edit", "-json", str(source / "go.mod"))).get("Replace") or []:
        old, new = rule["Old"]["Path"], rule["New"]
        if old in replaces:
            continue
        if new.get("Version"):
            replaces[old] = f"{new['Path']} {new['Version']}"
        elif part.staging and old.startswith(part.staging["prefix"]):
            replaces[old] = f"{old} {part.staging['version']}"
    lines = [
        "module argosy.dev/devcluster/build",
        "go 1.25",
        f"require {part.module} {part.version}",
        *(f"replace {old} => {new}" for old, new in sorted(replaces.items())),
    ]
    (work / "go.mod").write_text("\n".join(lines) + "\n")
    if (source / "go.sum").exists():
        shutil.copyfile(source / "go.sum", work / "go.sum")


def compile_binary(part: Part, binary: str, package: str, work: Path, scratch: Path) -> None:
    """Run ``go build`` for one program; its output goes to a log beside the parts."""
    ldflags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in part.x.items())])
    go(
        "build",
        "-mod=mod",
        "-trimpath",
        f"-tags={','.join(part.tags)}",
        f"-ldflags={ldflags}",
        f"-o={scratch / binary}",
        "/".join(filter(None, [part.module, package])),
        cwd=work,
        env={"CGO_ENABLED": "1" if part.cgo else "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"},
    )


def say(text: str) -> None:
    """Tell progress on stderr, one line a step, so that stdout stays the command's answer."""
    print(f"devcluster: {text}", file=sys.stderr, flush=True)
