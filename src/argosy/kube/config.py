"""How to reach an API server: from a kubeconfig, or from inside a pod.

Credentials are read when they are needed, and again when their files change or they expire; none
of them is ever part of an error message.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import ssl
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: Files are looked at again after this many seconds; mounted Secrets change by a symbolic link.
REREAD_AFTER = 60.0
EXEC_TIMEOUT = 30.0


class ConfigError(ValueError):
    """A kubeconfig cannot be used; the message says where and why."""


@dataclass
class Connection:
    """One API server and the credentials for it.

    ``user`` is the kubeconfig's user entry; ``origin`` names where it came from, for messages.
    """

    server: str
    origin: str
    cluster: Mapping[str, Any] = field(repr=False)
    user: Mapping[str, Any] = field(repr=False)
    namespace: str = "default"
    context: str = ""
    _token: str = field(default="", repr=False)
    _token_until: float = field(default=0.0, repr=False)
    _exec_certificate: tuple[str, str] | None = field(default=None, repr=False)

    def forget_credentials(self) -> None:
        """Have credentials read anew: the server has refused them."""
        self._token_until = 0.0

    async def headers(self) -> dict[str, str]:
        """Return the headers that authenticate a request; empty with a client certificate."""
        if time.monotonic() >= self._token_until:
            await self._read_token()
        if self._token:
            return {"Authorization": f"Bearer {self._token}"}
        if "username" in self.user:
            pair = f"{self.user['username']}:{self.user.get('password', '')}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {}

    async def _read_token(self) -> None:
        self._token_until = time.monotonic() + REREAD_AFTER
        if "token" in self.user:
            self._token = self.user["token"]
        elif "tokenFile" in self.user:
            self._token = await asyncio.to_thread(self._read, "tokenFile")
        elif "exec" in self.user:
            await self._run_plugin(self.user["exec"])

    def _read(self, name: str) -> str:
        path = Path(self.user[name])
        try:
            return path.read_text().strip()
        except OSError as error:
            raise ConfigError(f"{self.origin}: {name} {path}: {error.strerror}") from error

    async def _run_plugin(self, plugin: Mapping[str, Any]) -> None:
        """Ask a credential plugin (client.authentication.k8s.io ExecCredential)."""
        info = {
            "apiVersion": plugin.get("apiVersion", "client.authentication.k8s.io/v1"),
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
        extra = {entry["name"]: entry["value"] for entry in plugin.get("env") or []}
        try:
            process = await asyncio.create_subprocess_exec(
                plugin["command"],
                *(plugin.get("args") or []),
                env={**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(info)},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(EXEC_TIMEOUT):
                output, _ = await process.communicate()
        except (OSError, TimeoutError) as error:
            raise ConfigError(f"{self.origin}: credential plugin {plugin.get('command')}: {error}") from error
        if process.returncode:
            raise ConfigError(
                f"{self.origin}: credential plugin {plugin['command']} ended with {process.returncode}"
            )
        try:
            status = json.loads(output)["status"]
        except (ValueError, KeyError) as error:
            raise ConfigError(
                f"{self.origin}: credential plugin {plugin['command']} printed no ExecCredential"
            ) from error
        self._token = status.get("token", "")
        if "clientCertificateData" in status:
            self._exec_certificate = (status["clientCertificateData"], status["clientKeyData"])
        if expiry := status.get("expirationTimestamp"):
            left = datetime.fromisoformat(expiry).timestamp() - time.time()
            self._token_until = time.monotonic() + max(left - 10, 1)

    def ssl_context(self) -> ssl.SSLContext:
        """Make a TLS context from the certificates as they are now."""
        context = ssl.create_default_context(cadata=self._authority())
        if self.cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        pair = self._client_certificate()
        if pair:
            # The ssl module takes certificates from files only.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write("\n".join(pair))
                file.flush()
                try:
                    context.load_cert_chain(file.name)
                except ssl.SSLError as error:
                    raise ConfigError(
                        f"{self.origin}: the client certificate or its key is not valid"
                    ) from error
        return context

    def certificate_state(self) -> tuple[int, ...]:
        """Return what changes when a certificate file does."""
        names = ("client-certificate", "client-key")
        paths = [self.user[name] for name in names if name in self.user]
        paths += [self.cluster["certificate-authority"]] if "certificate-authority" in self.cluster else []
        return tuple(Path(path).stat().st_mtime_ns for path in paths if Path(path).exists())

    def _authority(self) -> str | None:
        return self._inline_or_file(self.cluster, "certificate-authority")

    def _client_certificate(self) -> tuple[str, str] | None:
        if self._exec_certificate:
            return self._exec_certificate
        certificate = self._inline_or_file(self.user, "client-certificate")
        key = self._inline_or_file(self.user, "client-key")
        return (certificate, key) if certificate and key else None

    def _inline_or_file(self, table: Mapping[str, Any], name: str) -> str | None:
        if data := table.get(f"{name}-data"):
            try:
                return base64.b64decode(data, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise ConfigError(f"{self.origin}: {name}-data is not base64 of a PEM file") from error
        if path := table.get(name):
            try:
                return Path(path).read_text()
            except OSError as error:
                raise ConfigError(f"{self.origin}: {name} {path}: {error.strerror}") from error
        return None


def from_environment(context: str = "") -> Connection:
    """Return the connection that kubectl would use: KUBECONFIG, ~/.kube/config, else the pod's own."""
    named = os.environ.get("KUBECONFIG")
    paths = [Path(p) for p in named.split(os.pathsep) if p] if named else [Path.home() / ".kube" / "config"]
    present = [path for path in paths if path.exists()]
    if present:
        return from_files(present, context)
    if not named and (SERVICE_ACCOUNT_DIR / "token").exists():
        return in_cluster()
    raise ConfigError(
        f"no kubeconfig: {', '.join(map(str, paths))} does not exist; set KUBECONFIG or use --kubeconfig"
    )


def in_cluster() -> Connection:
    """Return the connection of the pod that this runs in."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ConfigError("KUBERNETES_SERVICE_HOST is not set: this is no pod")
    return Connection(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        origin="the pod's service account",
        cluster={"certificate-authority": str(SERVICE_ACCOUNT_DIR / "ca.crt")},
        user={"tokenFile": str(SERVICE_ACCOUNT_DIR / "token")},
        namespace=(SERVICE_ACCOUNT_DIR / "namespace").read_text().strip(),
    )


def from_files(paths: list[Path], context: str = "") -> Connection:
    """Return the connection of a context from kubeconfig files; the first file to name a thing wins."""
    merged: dict[str, Any] = {"clusters": [], "users": [], "contexts": []}
    for path in paths:
        try:
            config = parse(path.read_text(), origin=str(path))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        resolve_paths(config, path.parent)
        for table in ("clusters", "users", "contexts"):
            merged[table] += config.get(table) or []
        merged.setdefault("current-context", config.get("current-context"))
    return connection(merged, context, origin=str(paths[0]))


def from_text(text: str, context: str = "", *, origin: str) -> Connection:
    """Return the connection of a kubeconfig that stands in a Secret.

    Files and programs it may name are not the ones of this machine, so they are refused.
    """
    found = connection(parse(text, origin=origin), context, origin=origin)
    foreign = [
        key
        for table in (found.cluster, found.user)
        for key in ("exec", "tokenFile", "client-certificate", "client-key", "certificate-authority")
        if key in table
    ]
    if foreign:
        raise ConfigError(f"{origin}: {foreign[0]} cannot be used from a Secret; put the data itself into it")
    return found


def parse(text: str, *, origin: str) -> dict[str, Any]:
    """Parse a kubeconfig."""
    try:
        config = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ConfigError(f"{origin}: not a YAML file{where}") from None
    if not isinstance(config, dict) or "clusters" not in config:
        raise ConfigError(f"{origin}: not a kubeconfig: it has no clusters")
    return config


def resolve_paths(config: dict[str, Any], folder: Path) -> None:
    """Make file names absolute; in a kubeconfig they are relative to its own folder."""
    for table, inner, names in (
        ("clusters", "cluster", ("certificate-authority",)),
        ("users", "user", ("client-certificate", "client-key", "tokenFile")),
    ):
        for entry in config.get(table) or []:
            body = entry.get(inner) or {}
            for name in names:
                if name in body:
                    body[name] = str(folder / body[name])


def connection(config: Mapping[str, Any], context: str, *, origin: str) -> Connection:
    """Return the connection of a context (default: the current one)."""
    name = context or config.get("current-context") or ""
    if not name:
        raise ConfigError(f"{origin}: no current-context; name one with --context")
    chosen = named(config, "contexts", "context", name, origin=origin)
    cluster = named(config, "clusters", "cluster", chosen.get("cluster", ""), origin=origin)
    user = named(config, "users", "user", chosen["user"], origin=origin) if chosen.get("user") else {}
    if not cluster.get("server"):
        raise ConfigError(f"{origin}: cluster {chosen.get('cluster')} has no server")
    if cluster.get("proxy-url"):
        raise ConfigError(f"{origin}: proxy-url is not supported")
    return Connection(
        server=cluster["server"].rstrip("/"),
        origin=origin,
        cluster=cluster,
        user=user,
        namespace=chosen.get("namespace") or "default",
        context=name,
    )


def named(config: Mapping[str, Any], table: str, inner: str, name: str, *, origin: str) -> Mapping[str, Any]:
    """Return one entry of a kubeconfig's tables."""
    entries = config.get(table) or []
    for entry in entries:
        if entry.get("name") == name:
            return entry.get(inner) or {}
    known = ", ".join(entry.get("name", "") for entry in entries) or "none"
    raise ConfigError(f"{origin}: no {inner} named {name!r}; there is {known}")
