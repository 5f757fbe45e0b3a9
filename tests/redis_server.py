"""A Redis of a test's own, to be stopped and emptied."""

import shutil
import subprocess
import time
from types import TracebackType
from typing import Self

import pytest
import redis

from tests.gates import HOST, free_port


class RedisServer:
    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis: redis-server is not on this machine")
        port = free_port()
        self.url = f"redis://{HOST}:{port}/0"
        self._command = [program, "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        while True:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
            except redis.ConnectionError:
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Without saving anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
