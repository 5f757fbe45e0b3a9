"""`python -m benchmarks.collect_calls N`: so many calls into the store that gateways have yet to complete.

On stdout their request ids as JSON.
"""

import json
import os
import sys
from time import sleep, time
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import django

if TYPE_CHECKING:
    from auditlog.call_rows import Call

PACK, BATCH = 250, 20_000  # calls


def main(calls: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keyportal.settings")
    django.setup()
    from accounts.models import Account  # noqa: PLC0415 -- needs the settings
    from apikeys import secrets  # noqa: PLC0415 -- likewise
    from auditlog.call_storage import LocalStorage  # noqa: PLC0415 -- likewise

    accounts = list(Account.objects.values_list("pk", flat=True))
    base, began = uuid4().int, time()
    made: list[Call] = [
        ((accounts[n % len(accounts)], "api_key", uuid4().hex), began + n * 1e-6, b"GET", b"/contacts/%d" % (n % 1000),
         204, None, "", b"curl/8.5.0", "203.0.113.9", base + n, "2026-01-01")
        for n in range(calls)
    ]  # fmt: skip
    storage, writer = LocalStorage(secrets.mask), uuid4()
    storage.open()
    for number, start in enumerate(range(0, calls, BATCH), start=1):
        batch = made[start : start + BATCH]
        packs = [storage.pack(batch[first : first + PACK]) for first in range(0, len(batch), PACK)]
        storage.store(packs, writer=writer, number=number)
    while storage.store([], writer=writer, number=number + 1).waiting:
        sleep(0.5)
    storage.close()
    sys.stdout.write(json.dumps([str(UUID(int=base + n)) for n in range(calls)]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
