"""`./portal bench [NAME] [options]`: run one benchmark; without a name, all of them."""

import sys

from benchmarks import calls, collect, gate, keys, reminders, routes

BENCHMARKS = {
    "gate": gate.main,
    "keys": keys.main,
    "calls": calls.main,
    "collect": collect.main,
    "reminders": reminders.main,
    "routes": routes.main,
}


def main(arguments: list[str]) -> None:
    if not arguments:
        for run in BENCHMARKS.values():
            run([])
        return
    name, *options = arguments
    if name not in BENCHMARKS:
        sys.stderr.write(f"There is no benchmark {name!r}. There are: {', '.join(BENCHMARKS)}.\n")
        sys.exit(2)
    BENCHMARKS[name](options)


if __name__ == "__main__":
    main(sys.argv[1:])
