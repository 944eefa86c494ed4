"""The network between the clusters: one bridge on the host, one veth pair for each cluster.

Every step looks before it acts, so that repeating it mends what is missing.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from devcluster.state import HOST_ADDRESS, Record

BRIDGE = "argosy0"


def ensure_bridge() -> None:
    """Make the bridge with the host's address on it."""
    if not exists(BRIDGE):
        ip("link", "add", BRIDGE, "type", "bridge")
    if f"{HOST_ADDRESS}/" not in ip("addr", "show", "dev", BRIDGE):
        ip("addr", "add", f"{HOST_ADDRESS}/24", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")
    if host_filters_bridges():
        ensure_rule(*ALLOW_BRIDGED)


def remove_bridge() -> None:
    """Take the bridge away, and its firewall rule."""
    if exists(BRIDGE):
        ip("link", "delete", BRIDGE)
        if host_filters_bridges():
            remove_rule(*ALLOW_BRIDGED)


def attach(record: Record, pid: int) -> None:
    """Join the network namespace of process ``pid`` to the bridge, with the cluster's address."""
    outer = f"argosy{record.number + 100}"
    if "eth0@" not in ip("-o", "link", "show", pid=pid):
        if exists(outer):  # the namespace that held the other end is gone, or going
            ip("link", "delete", outer)
        ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    ip("link", "set", outer, "master", BRIDGE, "up")
    ip("link", "set", "lo", "up", pid=pid)
    if f"{record.address}/" not in ip("addr", "show", "dev", "eth0", pid=pid):
        ip("addr", "add", f"{record.address}/24", "dev", "eth0", pid=pid)
    ip("link", "set", "eth0", "up", pid=pid)
    # Nothing is forwarded beyond the bridge; kube-proxy needs a route for service addresses.
    ip("route", "replace", "default", "via", HOST_ADDRESS, pid=pid)
    call(*inside(pid), "sysctl", "-qw", "net.ipv4.ip_forward=1")
    masquerade = ["nat", "POSTROUTING", "-s", record.pod_cidr, "-o", "eth0", "-j", "MASQUERADE"]
    ensure_rule(*masquerade, pid=pid)


def detach(record: Record) -> None:
    """Remove the cluster's interface from the host."""
    outer = f"argosy{record.number + 100}"
    if exists(outer):
        # It goes by itself with the namespace of its other end, so losing that race is fine.
        subprocess.run(["ip", "link", "delete", outer], capture_output=True, check=False)


def cut(source: Record, pid: int) -> None:
    """Drop what ``source`` begins towards the namespace of ``pid``, old connections included.

    Only packets in the direction of a connection's first packet match, so what the other side
    begins still gets its answers.
    """
    ensure_rule(*drop(source), pid=pid)


def heal(source: Record, pid: int) -> None:
    """Undo :func:`cut`."""
    remove_rule(*drop(source), pid=pid)


def drop(source: Record) -> list[str]:
    """Return table, chain and match of the rule that cuts a direction."""
    begun_by_it = ["-m", "conntrack", "--ctdir", "ORIGINAL"]
    return ["mangle", "PREROUTING", "-s", source.address, *begun_by_it, "-j", "DROP"]


# Where Docker runs, the host's firewall sees bridged packets and drops what it does not know.
ALLOW_BRIDGED = ["filter", "FORWARD", "-i", BRIDGE, "-o", BRIDGE, "-j", "ACCEPT"]


def host_filters_bridges() -> bool:
    """Tell whether packets on a bridge pass the host's iptables."""
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    return switch.exists() and switch.read_text().strip() == "1"


def ensure_rule(table: str, chain: str, *match: str, pid: int | None = None) -> None:
    """Insert a firewall rule at the top of its chain unless it is there."""
    if not has_rule(table, chain, *match, pid=pid):
        iptables(pid, "-t", table, "-I", chain, *match)


def remove_rule(table: str, chain: str, *match: str, pid: int | None = None) -> None:
    """Delete a firewall rule as often as it is there."""
    while has_rule(table, chain, *match, pid=pid):
        iptables(pid, "-t", table, "-D", chain, *match)


def has_rule(table: str, chain: str, *match: str, pid: int | None) -> bool:
    """Tell whether a firewall rule is there."""
    command = [*inside(pid), "iptables", "-w", "-t", table, "-C", chain, *match]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def iptables(pid: int | None, *args: str) -> None:
    """Run iptables on the host, or in the network namespace of a process."""
    call(*inside(pid), "iptables", "-w", *args)


def inside(pid: int | None) -> list[str]:
    """Return the words that make a command run in the network namespace of a process."""
    return ["nsenter", "-t", str(pid), "-n"] if pid else []


def exists(interface: str) -> bool:
    """Tell whether the host has this interface."""
    return Path("/sys/class/net", interface).exists()


def ip(*args: str, pid: int | None = None) -> str:
    """Run ``ip`` on the host, or in the network namespace of a process."""
    return call(*inside(pid), "ip", *args)


def call(*argv: str) -> str:
    """Run a command and return its output; RuntimeError with its own words if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
