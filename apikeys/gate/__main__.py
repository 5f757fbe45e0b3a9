"""`python -m apikeys.gate --host 127.0.0.1 --port 8001`: run one gate process."""

import argparse
import os
import signal
import sys

import django
import uvicorn


def main() -> None:
    options = _options()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keyportal.settings")
    django.setup()
    refuse_broken_document()
    for ending in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again once everything has stopped
        signal.signal(ending, lambda *_: sys.exit(0))
    uvicorn.run(
        "apikeys.gate.app:lifespan",
        host=options.host,
        port=options.port,
        http="apikeys.gate.app:GateProtocol",
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,  # settings.LOGGING
        timeout_graceful_shutdown=2,
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
    return parser.parse_args()


if __name__ == "__main__":
    main()
