"""Debian packages that a cluster needs beside the parts built from Go modules."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from devcluster.build import say

# Package, and a file by which it is known to be there (so that another distribution's own serves too).
PACKAGES = {
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",  # for mmdebstrap
    "gcc": "/usr/bin/gcc",  # runc is built with cgo
    "git": "/usr/lib/git-core/git-http-backend",
    "iproute2": "/usr/sbin/ip",
    "iptables": "/usr/sbin/iptables",
    "kmod": "/usr/sbin/modprobe",
    "libseccomp-dev": "/usr/include/seccomp.h",
    "lighttpd": "/usr/sbin/lighttpd",
    "mmdebstrap": "/usr/bin/mmdebstrap",
    "openssl": "/usr/bin/openssl",
    "pkg-config": "/usr/bin/pkg-config",
    "procps": "/usr/sbin/sysctl",
    "util-linux": "/usr/bin/unshare",
}


class NotPossibleError(RuntimeError):
    """This machine cannot run a cluster; the message says what is missing."""


def ensure() -> None:
    """Install the packages that are missing; NotPossibleError if that cannot be."""
    if not Path("/proc/self/ns/net").exists():
        raise NotPossibleError("a cluster needs Linux; on another system set CONTEXT=<kubeconfig context>")
    if os.geteuid():
        raise NotPossibleError(
            "a cluster needs root (namespaces, mounts, firewall rules): run with sudo,"
            " or use a cluster that you have: CONTEXT=<kubeconfig context>"
        )
    missing = [name for name, path in PACKAGES.items() if not there(path)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise NotPossibleError(
            f"no apt-get here; install what these Debian packages hold: {' '.join(missing)}"
        )
    say(f"installing Debian packages: {' '.join(missing)}")
    # An installation that was cut off must be finished before apt does anything else.
    subprocess.run(["dpkg", "--configure", "-a"], capture_output=True, check=False)
    apt("update")
    apt("install", "--no-install-recommends", *missing)
    if "lighttpd" in missing and Path("/run/systemd/system").exists():
        # Debian starts its own instance on port 80, which nobody asked for.
        subprocess.run(["systemctl", "disable", "--now", "lighttpd"], capture_output=True, check=False)


def there(path: str) -> bool:
    """Tell whether a file is there; /usr/sbin and /usr/bin are one folder on some systems."""
    return Path(path).exists() or ("bin/" in path and shutil.which(Path(path).name) is not None)


def apt(*args: str) -> None:
    """Run apt-get without questions; NotPossibleError with its last words if it fails."""
    done = subprocess.run(
        ["apt-get", "--yes", "--quiet", *args],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.strip().splitlines()[-3:]
        raise NotPossibleError(f"apt-get {args[0]} failed (is the network there?): {' '.join(words)}")
