"""The options of ``greensock serve`` for worker processes, and what they go together with."""

from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import CommandError
from ..settings import SHARE, WORKER_MODELS
from .endpoints import Endpoint
from .values import count, limit, size, socket_path, whole, workers

# Settings that every server with workers can have, by name, and the options they come from.
WORKER_SETTINGS = {
    "workers": "--workers",
    "share": "--share",
    "worker_timeout": "--worker-timeout",
    "max_requests": "--max-requests",
    "max_requests_jitter": "--max-requests-jitter",
    "max_rss": "--max-rss",
    "upgrade_timeout": "--upgrade-timeout",
    "control_path": "--control",
}


def add_worker_settings(parser: ArgumentParser) -> None:
    """Have ``parser`` take the options for workers."""
    group = parser.add_argument_group(
        "workers",
        "Processes that share one --bind, each with a greenlet or a thread for every request, as "
        "--model says. SIGTERM and SIGINT drain them, SIGQUIT cuts, SIGHUP replaces them one by "
        "one, SIGTTIN adds one, SIGTTOU removes one, SIGUSR1 has log files begun anew, SIGUSR2 "
        "starts the program anew on the same sockets.",
    )

    def add(setting: str, metavar: str | None, text: str, **how: Any) -> None:
        name = WORKER_SETTINGS[setting]
        group.add_argument(
            name, dest=setting, metavar=metavar, default=SUPPRESS, help=text, **how
        )

    add("workers", "N", "how many; 'cores' for one on each processor", type=workers)
    add(
        "share",
        None,
        "whether each worker has a listener of its own, and the system deals connections out, all "
        "wait on one, or connections go to whoever has the fewest (default: reuseport)",
        choices=SHARE,
    )
    add(
        "worker_timeout",
        "SECONDS",
        "how long the hub of a worker may stand still before it is killed (default: 30)",
        type=limit,
    )
    add("max_requests", "N", "requests after which a worker is replaced", type=count)
    add("max_requests_jitter", "N", "up to so many requests more, at random", type=whole)
    add("max_rss", "BYTES", "memory after which a worker is replaced, as 200M or 1G", type=size)
    add(
        "upgrade_timeout",
        "SECONDS",
        "how long the program that SIGUSR2 starts may take to be ready (default: 60)",
        type=limit,
    )
    add(
        "control_path",
        "PATH",
        "a Unix socket for 'greensock ctl', for the owner alone",
        type=socket_path,
    )
    group.add_argument(
        "--preload",
        action="store_true",
        help="import the handler once, before there are workers: they share its memory, but SIGHUP "
        "brings no new code",
    )


def check_worker_settings(options: Namespace, settings: Mapping[str, Any]) -> None:
    """CommandError if those for workers make no sense together."""
    if "workers" not in settings:
        given = [option for name, option in WORKER_SETTINGS.items() if name in settings]
        given += ["--preload"] if options.preload else []
        if given:
            raise CommandError(f"{given[0]} is of no use without --workers")
    if settings.get("max_requests_jitter") and settings.get("max_requests") is None:
        raise CommandError("--max-requests-jitter is of no use without --max-requests")


def check_workers_can(options: Namespace, endpoints: Sequence[Endpoint]) -> None:
    """CommandError if a command with workers cannot have what else is asked for."""
    if options.model not in WORKER_MODELS:
        raise CommandError(
            f"workers have a greenlet or a thread for every request, and --model is "
            f"{options.model}: choose --model greenlet or thread, or leave out --workers"
        )
    if len(endpoints) > 1:
        raise CommandError(
            f"workers share one --bind, and there are {len(endpoints)}: start a command for each, "
            "or leave out --workers"
        )
