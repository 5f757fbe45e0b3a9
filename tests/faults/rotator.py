"""`python -m tests.faults.rotator`: rotates keys as it is told; each rotation is a process that may be killed.

Takes lines `rotate SLUG SECRET`, the new secret being given so that callers know it before it is a key; answers each
with `returned` or `ended`, the latter saying nothing of whether it came to the commit. With `die` in place of `rotate`
the process is killed between the commit and the answer; with `hasten` it does not wait after the commit.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Never
from unittest.mock import patch

import django

INSTEAD_OF_WAITING: dict[str, Callable[..., None]] = {
    "die": lambda *_: os.kill(os.getpid(), signal.SIGKILL),
    "hasten": lambda *_: None,
}


def main() -> None:
    django.setup()
    for line in sys.stdin:
        verb, slug, secret = line.split()
        child = os.fork()
        if not child:
            _rotate(verb, slug, secret)
        _, status = os.waitpid(child, 0)
        sys.stdout.write("returned\n" if status == 0 else "ended\n")
        sys.stdout.flush()


def _rotate(verb: str, slug: str, secret: str) -> Never:
    from django.utils import timezone  # noqa: PLC0415 -- these need the settings

    from accounts.actors import SHELL  # noqa: PLC0415 -- needs Django set up
    from accounts.models import Account  # noqa: PLC0415 -- needs Django set up
    from apikeys import secrets  # noqa: PLC0415 -- needs Django set up
    from apikeys.operations import api_keys  # noqa: PLC0415 -- needs Django set up

    status = 1
    try:
        with ExitStack() as stack:
            stack.enter_context(patch.object(secrets, "generate", lambda _: secret))
            if verb in INSTEAD_OF_WAITING:
                stack.enter_context(patch.object(api_keys, "settle", INSTEAD_OF_WAITING[verb]))
            account = Account.objects.get(slug=slug)
            api_keys.rotate_api_key(account=account, generation=None, by=SHELL, now=timezone.now())
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
