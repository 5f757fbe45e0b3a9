"""`python -m benchmarks.call_ingest ROUNDS BATCHES`: calls into the store as the gate stores them, beside a plain COPY.

In each round as many batches go, in turn, through the gate's storing process (marshalled, cleaned, with last uses, the
day's usage and roll-ups, into indexed partitions) and, written as COPY takes them beforehand, into a table without an
index: as text, and in the binary format. On stdout as JSON, for each round, calls a second of the three.
"""

import json
import os
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, islice, pairwise
from time import perf_counter, time
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import django

if TYPE_CHECKING:
    from auditlog.call_rows import Call
    from auditlog.call_storage import Storage

PACK, PACKS = 250, 80  # calls, packs a batch: what the call writer hands over at a time at most
ACCOUNTS = 1_000
AGENTS = [b"python-requests/2.32.3", b"hubspot-api-nodejs/11.2.0", b"curl/8.5.0", b"Go-http-client/2.0"]
PLAIN = "bench_plain_calls"


def main(rounds: int, batches: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keyportal.settings")
    django.setup()
    from django.db import connection  # noqa: PLC0415 -- needs the settings

    from apikeys import secrets  # noqa: PLC0415 -- likewise
    from apikeys.gate.app import call_storage  # noqa: PLC0415 -- likewise
    from auditlog import call_copy, call_tables  # noqa: PLC0415 -- likewise
    from auditlog.call_rows import Cleaner  # noqa: PLC0415 -- likewise

    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {PLAIN} (LIKE auditlog_call)")
        cursor.execute(f"ALTER TABLE {PLAIN} ALTER id DROP NOT NULL")

    def plain(columns: Iterable[str], form: str, data: Sequence[bytes]) -> float:
        began = perf_counter()
        for one in data:
            with (
                connection.cursor() as cursor,
                cursor.cursor.copy(f"COPY {PLAIN} ({', '.join(columns)}) FROM STDIN (FORMAT {form})") as copy,
            ):
                copy.write(one)
        return perf_counter() - began

    storage, cleaner, calls = call_storage(), Cleaner(secrets.mask), _calls()
    binary = call_copy.Rows()
    storage.open()
    writer, number = uuid4(), 0
    found = []
    for turn in range(rounds + 1):
        made = [[list(islice(calls, PACK)) for _ in range(PACKS)] for _ in range(batches)]
        columns = [cleaner.batch(chain.from_iterable(packs)) for packs in made]
        times = [
            plain(call_tables.COLUMNS, "text", [_lines(call_tables.rows(batch)) for batch in columns]),
            plain(call_copy.COLUMNS, "binary", [b"".join(binary.parts(batch)) for batch in columns]),
        ]
        began = perf_counter()
        number = _run(storage, made, writer, number)
        times.insert(0, perf_counter() - began)
        if turn:  # the first one warms
            found.append([PACK * PACKS * batches / seconds for seconds in times])
    storage.close()
    sys.stdout.write(json.dumps(found))


def _run(storage: "Storage", batches: Iterable[list[list["Call"]]], writer: UUID, number: int) -> int:
    """Store batches as the call writer does: packed by another thread, and each with a sight of the next."""
    with ThreadPoolExecutor(max_workers=1) as packing:
        packed = packing.map(lambda batch: [storage.pack(pack) for pack in batch], batches)
        for batch, ahead in pairwise(chain(packed, [[]])):
            number += 1
            storage.store(batch, writer=writer, number=number, ahead=partial(list, ahead))
    return number


def _lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """As COPY takes text, of values that hold nothing special."""
    fields = (("\\N" if value is None else str(value) for value in row) for row in rows)
    return "".join("\t".join(row) + "\n" for row in fields).encode()


def _calls() -> Iterator[Any]:
    chance = random.Random(4).random  # noqa: S311 -- figures, no secrets
    whos = [(account, "api_key", UUID(int=account).hex) for account in range(1, ACCOUNTS + 1)]
    weights = [1 / rank for rank in range(1, ACCOUNTS + 1)]
    request_id = random.getrandbits(80) << 48
    began, day = time(), "2026-01-01"
    while True:
        for who in random.Random(chance()).choices(whos, weights, k=10_000):  # noqa: S311 -- likewise
            request_id += 1
            path = b"/crm/v3/objects/contacts/%d" % int(chance() * 100_000)
            yield (who, began + (request_id & 0xFFFFFF) * 1e-6, b"GET", path, 204, None, "", AGENTS[int(chance() * 4)],
                   "203.0.113.9", request_id, day)  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
