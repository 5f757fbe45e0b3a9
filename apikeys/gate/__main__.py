"""`python -m apikeys.gate --host 127.0.0.1 --port 8001`: run a gate; `--workers N`: N processes on one port.

With workers, SIGHUP replaces them one after another without an error to any caller: each new one is ready before the
old one stops, which gives every connection one more answer and says that it is the last.
"""

import argparse
import os
import signal
import sys
from typing import NoReturn

import django
import uvicorn
from uvicorn.supervisors import Multiprocess

STOP_SECONDS = 2


def main() -> None:
    options = _options()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keyportal.settings")
    django.setup()
    refuse_broken_document()
    if options.workers:
        supervise(config("worker", host=options.host, port=options.port, workers=options.workers))
    for ending in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again once everything has stopped
        signal.signal(ending, lambda *_: sys.exit(0))
    uvicorn.Server(config("app", host=options.host, port=options.port)).run()


def supervise(workers: uvicorn.Config) -> NoReturn:
    """Run the workers on one socket, start anew what ends, and pass on what ends all."""
    Multiprocess(workers, sockets=[workers.bind_socket()]).run()
    sys.exit(0)


def config(module: str, *, host: str, port: int, workers: int = 1) -> uvicorn.Config:
    """:param module: of this package, whose gate it is."""
    return uvicorn.Config(
        f"apikeys.gate.{module}:lifespan",
        host=host,
        port=port,
        workers=workers,
        http=f"apikeys.gate.{module}:GateProtocol",
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,  # settings.LOGGING
        timeout_graceful_shutdown=STOP_SECONDS,
        timeout_worker_healthcheck=30,
    )


def refuse_broken_document() -> None:
    """End with one line rather than with uvicorn's traceback."""
    from apikeys.api_document import ApiDocumentError  # noqa: PLC0415 -- needs the settings
    from apikeys.gate.protected_api import ProtectedApi  # noqa: PLC0415 -- likewise

    try:
        ProtectedApi()
    except ApiDocumentError as refusal:
        sys.exit(f"API_SPEC: {refusal}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m apikeys.gate", description="Decide on API calls for gateways.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--workers", type=int, default=0, help="processes that share the port; SIGHUP replaces them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
