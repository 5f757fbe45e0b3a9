"""How batches of calls get to the process that stores them."""

import os
from threading import Thread

import pytest

from auditlog import call_process


@pytest.mark.parametrize("most_parts", [1, 3, 1_000])
def test_all_parts_arrive_in_order_however_much_a_pipe_takes_at_once(
    most_parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_process, "MOST_PARTS", most_parts)
    parts = [bytes([number % 251]) * (number * 977 % 40_000) for number in range(200)]
    out, into = os.pipe()
    received = []

    def read() -> None:
        with os.fdopen(out, "rb", buffering=0) as stream:
            while some := stream.read(7_001):
                received.append(some)

    reader = Thread(target=read)
    reader.start()
    call_process._write(into, parts)  # noqa: SLF001 -- the pipe is what is tried
    os.close(into)
    reader.join()

    assert b"".join(received) == b"".join(parts)
