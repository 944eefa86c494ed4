"""``argosy run``: the controller, in a cluster or beside one."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import structlog
from cyclopts import Parameter
from prometheus_client import start_http_server

from argosy.controllers.worker import Settings, Worker
from argosy.kube import config

log = structlog.get_logger(__name__)


def run(
    *,
    namespace: str = "",
    target: str = "",
    kubeconfig: Path | None = None,
    context: str = "",
    hub_kubeconfig: Path | None = None,
    identity: str = "",
    metrics_port: int = 0,
    log_level: Annotated[str, Parameter(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the controller until it is told to stop.

    Without options it serves all Instances of the cluster that it runs in, or of the current
    kubeconfig context. A worker for a lab that nothing outside can reach runs inside the lab, and
    reads its Instances from the hub:

        argosy run --target paris --namespace lab-paris --hub-kubeconfig /etc/hub/kubeconfig

    Parameters
    ----------
    namespace
        Serve only this namespace of the source.
    target
        Serve this one Target, which is pulled; goes with --namespace and --hub-kubeconfig.
    kubeconfig
        The cluster to run in or beside; default: the pod's own, or what kubectl would use.
    context
        The context in that kubeconfig.
    hub_kubeconfig
        Where the Instances are written, when that is another cluster.
    identity
        The name under which leases are held; default: the host's name and process.
    metrics_port
        Serve Prometheus metrics on this port; 0: do not.
    """
    set_up_logs(log_level)
    own = config.from_files([kubeconfig], context) if kubeconfig else config.from_environment(context)
    source = config.from_files([hub_kubeconfig]) if hub_kubeconfig else own
    settings = Settings(
        identity=identity or f"{socket.gethostname()}-{os.getpid()}", namespace=namespace, target=target
    )
    if metrics_port:
        start_http_server(metrics_port)
    log.info("argosy starts", identity=settings.identity, source=source.server, target=target or "all")
    asyncio.run(until_told(Worker(settings, source=source, own=own)))


async def until_told(worker: Worker) -> None:
    """Run a worker until SIGTERM or SIGINT, and let it end in order."""
    work = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: work.cancel() if work else None)
    try:
        await worker.run()
    except asyncio.CancelledError:
        log.info("argosy ends")


def set_up_logs(level: str) -> None:
    """Write logs as JSON, or readable when a person looks."""
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
