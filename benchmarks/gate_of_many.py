"""A gate that keeps N keys from its start, and writes them to a file: `python -m benchmarks.gate_of_many N FILE PORT`.

To get to know a million keys from a store, which has to write down for each what was lent to it, takes a gate half an
hour. Here they are made up as if they had been read, and lent all that they may want; all else is the gate as it is.
"""

import gc
import sys
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import django
import uvicorn

django.setup()

from apikeys import secrets  # noqa: E402 -- after the settings
from apikeys.gate import app  # noqa: E402 -- likewise
from apikeys.gate.routes import EVERYTHING  # noqa: E402 -- likewise
from apikeys.gate.store import Credential  # noqa: E402 -- likewise

LIMIT = 10**9  # out of the way
FIRST = 1_000_000  # account


async def lifespan(number: int, file: Path, scope: dict[str, Any], receive: Any, send: Any) -> None:
    async def filled(message: dict[str, Any]) -> None:
        if message["type"] == "lifespan.startup.complete":
            fill(scope["state"]["gate"], number, file)
        await send(message)

    await app.lifespan(scope, receive, filled)


def fill(gate: app.Gate, number: int, file: Path) -> None:
    with file.open("w") as lines:
        for account in range(FIRST, FIRST + number):
            body = f"{account:0{secrets.RANDOM_LENGTH}}"
            secret = f"{secrets.prefixes()[secrets.Kind.API_KEY]}_{body}{secrets.checksum(body)}"
            lines.write(f"{secret}\n")
            gate.known.keep(_credential(account, secret))
            window = gate.windows.get(account)
            if window is not None:
                window.keep(LIMIT)
                window.told = LIMIT
                window.lend(LIMIT)
    gc.collect()
    gc.freeze()


def _credential(account: int, secret: str) -> Credential:
    return Credential(
        digest=secrets.newest_digest(secret),
        id=uuid4(),
        kind=secrets.Kind.API_KEY,
        end="",
        scopes=EVERYTHING,
        account_id=account,
        account_number=10 * account,
        account_slug=f"measurement-{account}",
        account_state="open",
        burst_limit=LIMIT,
        daily_limit=LIMIT,
        time_zone="Europe/Berlin",
    )


if __name__ == "__main__":
    uvicorn.run(
        partial(lifespan, int(sys.argv[1]), Path(sys.argv[2])),
        port=int(sys.argv[3]),
        http=app.GateProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        proxy_headers=False,
        access_log=False,
        log_config=None,
    )
