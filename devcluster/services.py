"""What all clusters share on the bridge: an OCI registry, and a Git server that speaks smart HTTP."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from devcluster import processes
from devcluster.cache import cache_dir
from devcluster.net import call
from devcluster.processes import Program
from devcluster.state import HOST_ADDRESS, SERVICES, state_dir

REGISTRY = f"http://{HOST_ADDRESS}:5000"
GIT = f"http://{HOST_ADDRESS}:3000"
READY_WITHIN_S = 20.0
GIT_BACKEND = "/usr/lib/git-core/git-http-backend"


def ensure(parts: dict[str, Path]) -> None:
    """Start the registry and the Git server, or what is missing of them."""
    folder = services_dir()
    repositories().mkdir(parents=True, exist_ok=True)
    (folder / "registry.json").write_text(json.dumps(registry_config(), indent=1))
    (folder / "lighttpd.conf").write_text(lighttpd_conf())
    if not processes.supervisor(folder):
        processes.launch(folder, network=False)
    registry = [str(parts["registry"] / "registry"), "serve", str(folder / "registry.json")]
    processes.run(
        folder,
        {
            "registry": Program(argv=registry, env={"OTEL_TRACES_EXPORTER": "none"}),
            "git": Program(argv=["/usr/sbin/lighttpd", "-D", "-f", str(folder / "lighttpd.conf")]),
        },
    )
    deadline = time.monotonic() + READY_WITHIN_S
    for url in (REGISTRY, GIT):
        address, port = url.removeprefix("http://").split(":")
        while not accepts(address, int(port)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{url} does not answer; see {folder}/logs")
            time.sleep(0.05)


def accepts(address: str, port: int) -> bool:
    """Tell whether something listens there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def end() -> None:
    """Stop both; repositories go with the state folder, images stay in the cache."""
    processes.end(services_dir())
    shutil.rmtree(services_dir(), ignore_errors=True)


def create_repository(name: str, source: Path | None = None) -> str:
    """Make a bare repository that anybody on the bridge may push to, and return its URL.

    With ``source``, the folder's content becomes a commit on ``main`` (none if nothing changed).
    """
    bare = repositories() / f"{name}.git"
    repositories().mkdir(parents=True, exist_ok=True)
    if not bare.exists():
        scratch = Path(tempfile.mkdtemp(dir=repositories()))
        call("git", "init", "--quiet", "--bare", "--initial-branch=main", str(scratch))
        call("git", "-C", str(scratch), "config", "http.receivepack", "true")
        scratch.chmod(0o755)
        scratch.rename(bare)
    if source:
        seed(bare, source)
    return f"{GIT}/{name}.git"


def seed(bare: Path, source: Path) -> None:
    """Commit a folder as it is to ``main`` of a bare repository."""
    with tempfile.TemporaryDirectory(dir=repositories()) as index:
        git = [
            "env",
            f"GIT_INDEX_FILE={index}/index",
            "git",
            f"--git-dir={bare}",
            f"--work-tree={source.resolve()}",
        ]
        identity = ["-c", "user.name=devcluster", "-c", "user.email=devcluster@localhost"]
        call(*git, "add", "--all", "--force", ".")
        tree = call(*git, "write-tree").strip()
        head = subprocess.run(
            [*git, "rev-parse", "--verify", "--quiet", "main"], capture_output=True, text=True, check=False
        ).stdout.strip()
        if head and call(*git, "rev-parse", "main^{tree}").strip() == tree:
            return
        parent = ["-p", head] if head else []
        commit = call(
            *git, *identity, "commit-tree", tree, *parent, "-m", f"Content of {source.name}"
        ).strip()
        call(*git, "update-ref", "refs/heads/main", commit)


def remove_repository(name: str) -> None:
    """Delete a repository."""
    shutil.rmtree(repositories() / f"{name}.git")


def repository_list() -> dict[str, str]:
    """Return name and URL of every repository."""
    found = sorted(path.stem for path in repositories().glob("*.git"))
    return {name: f"{GIT}/{name}.git" for name in found}


def repositories() -> Path:
    """Return where the bare repositories are."""
    return services_dir() / "git"


def services_dir() -> Path:
    """Return the folder of registry and Git server."""
    return state_dir() / SERVICES


def registry_config() -> dict[str, object]:
    """Return the registry's configuration: blobs in the cache, so that an image is pushed once."""
    storage = {"filesystem": {"rootdirectory": str(cache_dir() / "registry")}, "delete": {"enabled": True}}
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": storage,
        "http": {"addr": REGISTRY.removeprefix("http://")},
    }


def lighttpd_conf() -> str:
    """Return lighttpd's configuration: every request goes to git's own CGI program."""
    address, port = GIT.removeprefix("http://").split(":")
    return f"""server.modules = ("mod_alias", "mod_cgi", "mod_setenv")
server.bind = "{address}"
server.port = {port}
server.document-root = "{repositories()}"
server.upload-dirs = ("/tmp")
alias.url = ("/" => "{GIT_BACKEND}/")
cgi.assign = ("" => "")
setenv.set-environment = ("GIT_PROJECT_ROOT" => "{repositories()}", "GIT_HTTP_EXPORT_ALL" => "1")
"""
