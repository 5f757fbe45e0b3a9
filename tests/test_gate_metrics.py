"""What `/metrics` of a gate says is true of all gate processes of the machine, whichever is asked."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from apikeys import secrets
from apikeys.gate import counts
from apikeys.gate.counts import CountsFile, machine
from apikeys.secrets import Kind
from tests.factories import ApiKeyFactory
from tests.gates import ProcessGate, ask, bearer
from tests.waiting import until


@pytest.fixture(autouse=True)
def data_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


# --- Real processes -------------------------------------------------------------------------------------------------
class Scraped:
    """The metrics of whichever process answered, and which that was."""

    def __init__(self, port: int) -> None:
        answer = ask(port, target="/metrics")
        self.samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }

    @property
    def accepted(self) -> float:
        return self.samples["keyportal_decisions_total", "api_key", ""]

    @property
    def malformed(self) -> float:
        return self.samples.get(("keyportal_decisions_total", "", "malformed"), 0)

    @property
    def timed(self) -> float:
        return self.samples["keyportal_turn_seconds_count",]


@pytest.mark.once("the store has no part in it")
@pytest.mark.django_db(transaction=True)
def test_two_workers_are_counted_together_and_a_killed_one_goes_on_counting(data_dir: Path) -> None:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__burst_limit=10**9)
    answered: Counter[str] = Counter()  # by process: the first part of its request ids
    with ProcessGate(workers=2, data_dir=data_dir) as gate:
        while len(answered) < 2 or min(answered.values()) < 10:
            answer = ask(gate.port, bearer(secret))
            assert answer.status == 204
            ask(gate.port, bearer("garbage"))
            answered[answer.headers["x-request-id"][:18]] += 1
        total = answered.total()
        until(lambda: Scraped(gate.port).accepted == total)
        before = Scraped(gate.port)

        gate.end_worker(signal.SIGKILL)
        after = [Scraped(gate.port) for _ in range(20)]
        ask(gate.port, bearer(secret))
        until(lambda: Scraped(gate.port).accepted == total + 1)

    assert (before.accepted, before.malformed) == (total, total)
    assert before.timed >= 2 * total
    assert {one.accepted for one in after} == {total}
    assert all(one.timed >= before.timed for one in after)


# --- The files ------------------------------------------------------------------------------------------------------
def test_the_dead_are_added_up_once_and_their_files_go(data_dir: Path) -> None:
    for number in (3, 4):
        CountsFile(["calls", "now queued"], {"calls": number, "now queued": 5}).close()
    lives = CountsFile(["calls", "now queued"], {"calls": 10, "now queued": 1})

    found = [machine() for _ in range(3)]

    lives.close()
    assert [one.totals["calls"] for one in found] == [17] * 3
    assert [one.each("now queued") for one in found] == [[1]] * 3
    assert sum(counts._is_id(path.name) for path in (data_dir / "gates").iterdir()) == 1  # noqa: SLF001 -- its own


def test_a_death_between_adding_up_and_deleting_counts_nothing_twice(data_dir: Path) -> None:
    CountsFile(["calls"], {"calls": 3}).close()
    left = next(path for path in (data_dir / "gates").iterdir() if path.name != counts.LOCK)
    kept = left.read_bytes()
    machine()
    left.write_bytes(kept)

    found = [machine().totals["calls"] for _ in range(2)]

    assert found == [3, 3]
    assert not left.exists()


def test_processes_of_two_releases_are_counted_together(data_dir: Path) -> None:
    older = CountsFile(["calls"], {"calls": 3})
    newer = CountsFile(["calls", "now new"], {"calls": 4, "now new": 9})

    found = machine()

    older.close()
    newer.close()
    assert (found.totals["calls"], found.each("now new")) == (7, [9])


@pytest.mark.parametrize("left", [b"", b"\0" * 64, b'["calls"]\n', b'["calls"]\n123'])
def test_what_a_loss_of_power_left_of_a_file_counts_nothing_and_harms_nothing(data_dir: Path, left: bytes) -> None:
    CountsFile(["calls"], {"calls": 3}).close()
    machine()
    (data_dir / "gates" / "00000000-0000-4000-8000-000000000000").write_bytes(left)
    before = machine().totals["calls"]
    (data_dir / "gates" / counts.ENDED).write_bytes(b"\0" * len(left))

    assert (before, machine().totals["calls"]) == (3, 0)
