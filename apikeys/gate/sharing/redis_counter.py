"""The shared counter of burst limits in Redis: one script, whose numbers may be gone at any time."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apikeys.gate.sharing import members, table
from apikeys.gate.sharing.bursts import BurstAsk, BurstGranted, CounterEmptyError, CounterGoneError, Wanted
from apikeys.gate.sharing.members import Terms

TIMEOUT_SECONDS = 0.5
_NUMBERS = count(1)  # of questions; those of each process rise
_SCRIPT = Path(__file__).with_name("counter.lua").read_text()
_NAMES = ("state", "checked-in", "ready", "totals", "wanted", "wants", "held:", "answered:", "asked")


class RedisCounter:
    """Grants nothing until everybody who may hold something of what was forgotten has said what (`check_in`)."""

    def __init__(self, url: str, terms: Terms) -> None:
        self._server = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._script = self._server.register_script(_SCRIPT)
        self._keys = [f"{{keyportal:{terms.name}}}:{name}" for name in _NAMES]
        self._epoch = terms.epoch
        self.is_complete = False

    def exchange(self, process: UUID, asks: Sequence[BurstAsk]) -> list[BurstGranted]:
        asked = [int(value) if isinstance(value, bool) else value for ask in asks for value in ask]
        answers = self._counted("exchange", process, asked)
        return [
            BurstGranted(allotted, [UUID(hex=one) for one in others], number) for allotted, others, number in answers
        ]

    def wanted(self, process: UUID) -> list[Wanted]:
        return [Wanted(key, number) for key, number in self._counted("wanted", process, [])]

    def check_in(self, process: UUID, held: Mapping[str, int]) -> None:
        self._ask("check in", process, [value for pair in held.items() for value in pair])

    def free(self, process: UUID) -> None:
        self._ask("free", process, [])
        table.free(process)  # it may have used that

    def is_ready(self, process: UUID) -> bool:
        _, _, ready = self._ask("ready", process, [])
        return {one.hex for one, row in members.everybody().items() if not row.has_ended} <= set(ready)

    def close(self) -> None:
        self._server.close()

    def _counted(self, question: str, process: UUID, arguments: Sequence[Any]) -> Sequence[Any]:
        """Ask what only those who have checked in may; and see to it that the numbers become complete."""
        status, birth, answer = self._ask(question, process, arguments)
        self.is_complete = status == "ok"
        if not self.is_complete:
            # Read after these numbers were begun: whoever may hold something that they lack is among these.
            everybody = [each.hex for each in members.everybody()]
            self._ask("complete", process, [birth, *everybody])
        result: Sequence[Any] = answer
        return result

    def _ask(self, question: str, process: UUID, arguments: Iterable[Any]) -> list[Any]:
        about: list[Any] = [question, process.hex, self._epoch, next(_NUMBERS)]
        try:
            answer: list[Any] = self._script(keys=self._keys, args=about + list(arguments))
        except redis.RedisError as failure:
            raise CounterGoneError(type(failure).__name__) from failure
        if answer[0] in {"empty", "old"}:
            raise CounterEmptyError(answer[0])
        return answer
