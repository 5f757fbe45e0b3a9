"""A gate that keeps N keys from its start, and writes them to a file: `python -m benchmarks.gate_of_many N FILE PORT`.

To get to know a million keys from a store, which has to write down for each what was lent to it, takes a gate tens of
minutes. Here they are made up as if they had been read, and lent all that they may want; all else is the gate as it is.
"""

from __future__ import annotations

import gc
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import uvicorn

from apikeys.gate.worker import lifespan as without_keys  # isort: skip -- it sets Django up for what follows
from apikeys import secrets
from apikeys.gate.__main__ import config
from apikeys.gate.routes import EVERYTHING
from apikeys.gate.store import Credential

if TYPE_CHECKING:
    from apikeys.gate.app import Gate

LIMIT = 10**9  # out of the way
FIRST = 1_000_000  # account


async def lifespan(number: int, file: Path, scope: dict[str, Any], receive: Any, send: Any) -> None:
    async def filled(message: dict[str, Any]) -> None:
        if message["type"] == "lifespan.startup.complete":
            fill(scope["state"]["gate"], number, file)
        await send(message)

    await without_keys(scope, receive, filled)


def fill(gate: Gate, number: int, file: Path) -> None:
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
    gate = config("worker", host="127.0.0.1", port=int(sys.argv[3]))
    gate.app = partial(lifespan, int(sys.argv[1]), Path(sys.argv[2]))
    uvicorn.Server(gate).run()
