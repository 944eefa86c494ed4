"""Process 1 of a cluster: keeps the programs of a list running and reaps every orphan.

Knows processes and nothing of Kubernetes. It runs as the first process of a PID namespace, so that
killing it takes every program, container and mount of the cluster with it. Its only input is
``programs.json`` in its folder, read again whenever that file changes. Runs as a script, without
the package around it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

RESTART_AFTER_S = 1.0
# The probes of programs that wait for others are repeated this often; otherwise we sleep longer.
BUSY_TICK_S, IDLE_TICK_S = 0.05, 1.0


def main(folder: Path) -> None:
    """Own the mounts, then keep the programs running for ever."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    # kubelet's mounts must reach containerd's containers, and nothing outside.
    mount("--make-rshared", "/")
    # Sockets, pod network namespaces and address leases: gone after a crash as after a reboot.
    mount("-t", "tmpfs", "tmpfs", "/run")
    mount("-t", "tmpfs", "tmpfs", "/var/log")
    seen, programs = 0, dict[str, dict[str, Any]]()
    running = dict[int, str]()
    not_before = dict[str, float]()
    while True:
        for pid in reap():
            name = running.pop(pid, None)
            if name:
                say(f"{name} ended")
                not_before[name] = time.monotonic() + RESTART_AFTER_S
        with contextlib.suppress(FileNotFoundError):
            changed = (folder / "programs.json").stat().st_mtime_ns
            if changed != seen:
                seen, programs = changed, json.loads((folder / "programs.json").read_text())
        idle = True
        for name, program in programs.items():
            if name in running.values():
                continue
            idle = False
            if time.monotonic() >= not_before.get(name, 0) and is_there(program["after"]):
                running[start(name, program, folder / "logs")] = name
        signal.sigtimedwait({signal.SIGCHLD}, IDLE_TICK_S if idle else BUSY_TICK_S)


def reap() -> list[int]:
    """Collect every child that has ended, our own and orphans handed to process 1."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.append(pid)
    return ended


def is_there(what: str) -> bool:
    """Tell whether what a program waits for is there: nothing, a path, or a URL that answers 200."""
    if not what or what.startswith("/"):
        return not what or os.path.exists(what)  # noqa: PTH110 (a socket's path, not a file to open)
    unverified = ssl._create_unverified_context()  # noqa: S323, SLF001 (liveness of our own part, no data)
    try:
        with urllib.request.urlopen(what, timeout=1, context=unverified) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def start(name: str, program: dict[str, Any], logs: Path) -> int:
    """Start one program with its log as output and return its process id."""
    say(f"starting {name}")
    logs.mkdir(exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawnp(
        program["argv"][0],
        program["argv"],
        {**os.environ, **program["env"]},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(logs / f"{name}.log"), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsigmask=[],
        setsigdef=[signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT],
        setpgroup=0,
    )


def mount(*args: str) -> None:
    """Run ``mount``."""
    subprocess.run(["mount", *args], check=True)


def say(text: str) -> None:
    """Log one line with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
