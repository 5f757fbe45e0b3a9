"""Whatever comes, in whatever pieces: the gate answers what `strict` and `verdicts` say, and nothing else."""

import gc

import pytest

from tests.fuzz import judge
from tests.fuzz.bench import Bench
from tests.fuzz.corpus import seeds

CUTS = 5  # ways to cut each stream; the first: not at all


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_each_kind_of_request_alone_and_beside_others_is_answered_as_it_must_be(bench: Bench) -> None:
    for stream in seeds():
        for seed in range(CUTS):
            judge.check(bench, stream, seed=seed)


def test_nothing_is_kept_of_what_was_answered(bench: Bench) -> None:
    def all_of_it() -> int:
        for stream in seeds():
            judge.check(bench, stream, seed=2)
        gc.collect()
        return len(gc.get_objects())

    all_of_it()
    before = all_of_it()

    assert all_of_it() - before < 50
    assert not bench.gate.connections
