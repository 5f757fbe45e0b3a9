"""`./portal test`: the tests on SQLite, then on PostgreSQL. Arguments go to both runs of pytest.

On PostgreSQL runs what could differ there: every test that uses the database, unless it drives a browser or says in a
mark why one store is enough. `tests/once.py` chooses, and prints how many were left out and why.

One test more at once than there are cores: most that are long wait for other processes. Each worker begins elsewhere
in the list, so that those that compute, which come first, run beside those that wait; whoever is done takes over from
the others.
"""

import os
import subprocess
import sys
import time

NOTHING_COLLECTED = 5  # pytest's exit status
STORES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(arguments: list[str]) -> int:
    results = {store: run(store, arguments) for store in STORES}
    print("\n" + "\n".join(f"{STORES[store]:<11} {said}" for store, (_, said) in results.items()))
    statuses = [status for status, _ in results.values() if status != NOTHING_COLLECTED]
    return max(statuses, default=NOTHING_COLLECTED)


def run(store: str, arguments: list[str]) -> tuple[int, str]:
    """One run of pytest: its exit status, and that in words with the seconds it took."""
    began = time.monotonic()
    print(f"\n=== Tests on {STORES[store]} ===", flush=True)
    command = [sys.executable, "-m", "pytest", "-n", str(CORES + 1), "--dist", "worksteal", "-q", *arguments]
    status = subprocess.run(command, env={**os.environ, "STORE": store}, check=False).returncode
    words = {0: "passed", NOTHING_COLLECTED: "nothing to run"}.get(status, "FAILED")
    return status, f"{words} in {time.monotonic() - began:.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
