"""The coverage-guided fuzzer on what the gate reads: no answer but the right one, no 5xx, no hang, no growth.

The short form tries the same few thousand inputs with every test run; `FUZZ_SECONDS=600 ./portal test
tests/fuzz/test_fuzzer.py` goes on for so long with each target, from another beginning each time. That it finds what is
wrong is tried with the gate made wrong.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))
RUNS = 2_500
LOOK_FOR = 30_000  # runs, at most, until a planted mistake is found

pytestmark = [
    pytest.mark.skipif(
        subprocess.run([sys.executable, "-c", "import atheris"], check=False, capture_output=True).returncode != 0,
        reason="atheris: the fuzzer has no wheel for this Python and machine",
    ),
]


def fuzz(directory: Path, target: str, *options: str, mistake: str = "") -> subprocess.CompletedProcess[str]:
    """Run it; what it finds is kept in the directory."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz",
            target,
            f"-artifact_prefix={directory}/",
            "-print_final_stats=1",
            *options,
        ],
        cwd=settings.BASE_DIR,
        env={**os.environ, "PLANTED": mistake},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("target", ["requests", "calls"])
def test_nothing_that_comes_is_answered_wrongly(tmp_path: Path, target: str) -> None:
    how_long = [f"-max_total_time={SECONDS}"] if SECONDS else [f"-runs={RUNS}", "-seed=1"]

    done = fuzz(tmp_path, target, *how_long)

    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-6_000:]


@pytest.mark.parametrize(
    ("target", "mistake"),
    [
        ("requests", "bound"),
        ("requests", "host"),
        ("requests", "rare header"),
        ("calls", "second way"),
    ],
)
@pytest.mark.skipif(not SECONDS, reason="long: FUZZ_SECONDS is not set")
def test_a_planted_mistake_is_found(tmp_path: Path, target: str, mistake: str) -> None:
    done = fuzz(tmp_path, target, f"-runs={LOOK_FOR}", "-seed=1", mistake=mistake)

    assert done.returncode != 0
    assert list(tmp_path.glob("crash-*"))
