"""A coverage-guided fuzzer on what the gate reads: `python -m tests.fuzz requests|calls [options of libFuzzer]`.

Run by `tests/fuzz/test_fuzzer.py`, which says how long. What fails is written to a file and named at the end; the same
command with that file's name tries it again.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["apikeys.gate", "apikeys.secrets", "tests.fuzz"]):
    from tests import environment  # isort: skip  -- before Django's settings are read
    import django

    django.setup()
    from tests.fuzz import calls, corpus, judge, planted
    from tests.fuzz.bench import Bench

SEED_BYTES = 2  # of an input; they say how the rest is cut
LONGEST = 16_384  # bytes of an input: enough for every bound of a head


def requests() -> Callable[[bytes], None]:
    """Streams of requests."""
    bench = Bench()

    def try_one(data: bytes) -> None:
        judge.check(bench, data[SEED_BYTES:], seed=int.from_bytes(data[:SEED_BYTES]))

    return try_one


def one_call() -> Callable[[bytes], None]:
    """Headers' values, as they are behind the parsing."""
    bench = Bench()
    return lambda data: calls.check(bench, data)


TARGETS = {
    "requests": (requests, [seed.to_bytes(SEED_BYTES) + one for one in corpus.seeds() for seed in (0, 7)]),
    "calls": (one_call, list(calls.seeds())),
}


def main(arguments: list[str]) -> None:
    if os.environ.get("PLANTED"):
        planted.plant(os.environ["PLANTED"])
    target, seeds = TARGETS[arguments[1]]
    with tempfile.TemporaryDirectory(prefix="keyportal-fuzz-") as directory:
        beginnings = Path(directory) / "corpus"
        beginnings.mkdir()
        for number, seed in enumerate(seeds):
            (beginnings / str(number)).write_bytes(seed)
        dictionary = Path(directory) / "words"
        dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in corpus.words()))
        options = [f"-dict={dictionary}", f"-max_len={LONGEST}", "-timeout=100", "-rss_limit_mb=1024"]
        rest = arguments[2:]
        files = [] if any(Path(one).is_file() for one in rest) else [str(beginnings)]
        atheris.Setup([arguments[0], *options, *rest, *files], target())
        atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    assert environment
    main(sys.argv)
