"""The processes of a cluster as seen from outside: launch its supervisor, find its programs, end it.

Nothing is remembered in PID files, which a crash leaves wrong: what runs is read from ``/proc``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

SUPERVISOR = Path(__file__).with_name("supervisor.py").resolve()
PROC = Path("/proc")
END_WITHIN_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program that the supervisor keeps running; ``after`` is a path or URL it waits for."""

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    after: str = ""


def launch(folder: Path, *, network: bool) -> int:
    """Start a supervisor for ``folder`` in namespaces of its own and return its process id.

    It starts no program before :func:`run` hands it a list.
    """
    (folder / "programs.json").unlink(missing_ok=True)
    namespaces = ["--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
    namespaces += ["--net"] if network else []
    with (folder / "supervisor.log").open("a") as log:
        subprocess.run(
            # setsid: a Ctrl-C at the terminal of `up` must not reach the cluster.
            ["setsid", "--fork", "unshare", *namespaces, sys.executable, str(SUPERVISOR), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            check=True,
        )
    deadline = time.monotonic() + END_WITHIN_S
    while time.monotonic() < deadline:
        if pid := supervisor(folder):
            return pid
        time.sleep(0.02)
    raise RuntimeError(f"the supervisor did not start; see {folder}/supervisor.log")


def run(folder: Path, programs: dict[str, Program]) -> None:
    """Hand the supervisor of ``folder`` the programs to keep running."""
    text = json.dumps({name: asdict(program) for name, program in programs.items()}, indent=1)
    target = folder / "programs.json"
    if target.exists() and target.read_text() == text:
        return
    scratch = target.with_suffix(".new")
    scratch.write_text(text)
    scratch.rename(target)


def supervisor(folder: Path) -> int | None:
    """Find the process id, as seen from here, of the supervisor of ``folder``."""
    for pid, argv in processes():
        if len(argv) == 3 and argv[1].endswith(f"/{SUPERVISOR.name}") and argv[2] == str(folder):
            return pid
    return None


def programs_running(folder: Path) -> dict[str, int]:
    """Return name and process id of the supervisor's programs that run now."""
    try:
        wanted = json.loads((folder / "programs.json").read_text())
    except FileNotFoundError:
        return {}
    parent = supervisor(folder)
    binaries = {program["argv"][0]: name for name, program in wanted.items()}
    return {
        binaries[argv[0]]: pid
        for pid, argv in processes()
        if parent and argv[0] in binaries and parent_of(pid) == parent
    }


def end(folder: Path) -> None:
    """Kill the supervisor, which takes everything in its namespaces with it, and wait for that."""
    pid = supervisor(folder)
    if not pid:
        return
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + END_WITHIN_S
    while (PROC / str(pid)).exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"process {pid} of {folder.name} does not end")
        time.sleep(0.02)


def processes() -> Iterator[tuple[int, list[str]]]:
    """List process id and arguments of every process that has any."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            except OSError:
                continue
            if argv:
                yield int(entry.name), argv


def parent_of(pid: int) -> int | None:
    """Return the parent of a process, None if it is gone."""
    try:
        # The name in parentheses may hold spaces; what follows it does not.
        return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
