"""The command line of the tool: ``python -m devcluster``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from devcluster import build as builder
from devcluster import cluster, debian, services
from devcluster import images as image_builder
from devcluster.build import say

app = cyclopts.App(
    name="devcluster",
    suppress_keyboard_interrupt=False,
    help="Real Kubernetes clusters on a plain Linux machine.",
)
git = cyclopts.App(name="git", help="Repositories on the Git server.")
app.command(git)

Output = Annotated[Literal["text", "json"], cyclopts.Parameter(name=["--output", "-o"])]
Versions = Annotated[tuple[str, ...], cyclopts.Parameter(name="--argocd", negative="")]


@app.command
def up(
    name: str,
    *,
    node: bool = True,
    controllers: bool = True,
    argocd: Versions = (),
) -> None:
    """Start a cluster, or mend it, and wait until it is ready.

    Parameters
    ----------
    node
        With --no-node: etcd, API server and controller manager only.
    controllers
        With --no-node --no-controllers: not even the controller manager.
    argocd
        Versions of Argo CD whose images the registry serves (the newest if none is named).
    """
    if own := os.environ.get("CONTEXT"):
        say(f"CONTEXT={own}: using that cluster, nothing to start")
        return
    cluster.up(name, node=node, controllers=controllers, argocd=argocd)


@app.command
def down(name: str | None = None, *, all: bool = False) -> None:  # noqa: A002 (it is the flag's name)
    """End a cluster and everything it left; with the last one the registry and the Git server."""
    if own := os.environ.get("CONTEXT"):
        say(f"CONTEXT={own}: that cluster is yours, nothing to end")
    elif all:
        cluster.down_all()
    elif name:
        cluster.down(name)
    else:
        raise ValueError("name a cluster, or say --all")


@app.command
def status(*, output: Output = "text") -> None:
    """Show the clusters, their programs and what they wait for."""
    found = cluster.status()
    if output == "json":
        print(json.dumps(found, indent=1))
        return
    for each in found:
        print(f"{each['name']}: {'ready' if each['ready'] else each['message']}")
        print(f"  {each['server']}  {each['kubeconfig']}")
        dead = [name for name, pid in each["programs"].items() if not pid]
        print(f"  running: {', '.join(name for name, pid in each['programs'].items() if pid) or 'nothing'}")
        if dead:
            print(f"  dead: {', '.join(dead)}")
        for source in each["cutFrom"]:
            print(f"  cut: {source} cannot reach it")
    if not found:
        print("no cluster")


@app.command
def kubeconfig(name: str | None = None) -> None:
    """Print a kubeconfig for a cluster (for CONTEXT if that is set)."""
    if own := os.environ.get("CONTEXT"):
        view = ["kubectl", "config", "view", "--raw", "--minify", "--flatten", f"--context={own}"]
        sys.exit(subprocess.run(view, check=False).returncode)
    if not name:
        raise ValueError("name a cluster, or set CONTEXT")
    print(cluster.find(name).kubeconfig.read_text())


@app.command
def images(name: str, *, argocd: Versions = (), output: Output = "text") -> None:
    """Build what is missing of the images for a cluster, Argosy's own too, and list them.

    Parameters
    ----------
    argocd
        Versions of Argo CD (the newest if none is named).
    """
    cluster.find(name)
    served = [
        *image_builder.serve_common(),
        *image_builder.serve_argocd(argocd),
        image_builder.serve_argosy(),
    ]
    if output == "json":
        print(json.dumps([asdict(image) for image in served], indent=1))
    else:
        for image in served:
            print(f"{image.name}@{image.digest}")


@app.command
def cut(source: str, target: str) -> None:
    """Let SOURCE reach TARGET no more; TARGET still reaches SOURCE."""
    cluster.cut(source, target)


@app.command
def heal(source: str, target: str) -> None:
    """Undo a cut."""
    cluster.heal(source, target)


@app.command
def kill(
    name: str, program: str, *, sent: Annotated[str, cyclopts.Parameter(name="--signal")] = "KILL"
) -> None:
    """Send a signal to a program of a cluster, or to its `supervisor`."""
    cluster.find(name).kill(program, signal.Signals[f"SIG{sent.upper().removeprefix('SIG')}"])


@app.command
def pause(name: str, program: str) -> None:
    """Freeze a program: it holds its connections and answers nothing."""
    cluster.find(name).kill(program, signal.SIGSTOP)


@app.command
def resume(name: str, program: str) -> None:
    """Let a frozen program go on."""
    cluster.find(name).kill(program, signal.SIGCONT)


@app.command
def build(*parts: str) -> None:
    """Build parts, all of them if none is named; what is built already stays."""
    debian.ensure()
    for name, folder in builder.build_all(parts or builder.load_parts()).items():
        print(f"{name} {folder}")


@git.command
def create(name: str, *, source: Annotated[Path | None, cyclopts.Parameter(name="--from")] = None) -> None:
    """Make a repository, with the content of a folder on `main`, and print its URL."""
    print(services.create_repository(name, source))


@git.command(name="list")
def list_repositories() -> None:
    """Print name and URL of every repository."""
    for name, url in services.repository_list().items():
        print(f"{name} {url}")


def main() -> None:
    """Run the command; what a user can mend is one line, not a traceback."""
    try:
        app(sys.argv[1:])
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
        sys.exit(130)
    except (RuntimeError, LookupError, ValueError, OSError) as error:
        say(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
