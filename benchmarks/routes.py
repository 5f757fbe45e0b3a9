"""`./portal bench routes`: what judging a call by the API's document costs the gate, without the gate around it."""

import argparse
import statistics
import sys
import timeit
from collections.abc import Sequence
from functools import partial

from apikeys.api_document import Operation
from apikeys.gate.routes import Routes

CALLS = 20_000  # a repetition
KINDS = ("contacts", "companies", "deals", "tickets", "products", "emails", "notes", "tasks")
SHAPES = (("GET", ""), ("POST", ""), ("GET", "/{id}"), ("PATCH", "/{id}"), ("POST", "/search"))
PATHS = (
    ("GET", "/crm/v3/objects/deals"),
    ("GET", "/crm/v3/objects/deals/12345"),
    ("POST", "/crm/v3/objects/contacts/search"),
    ("GET", "/crm/v3/objects/deals/a%20b"),
    ("GET", "/somewhere/else"),
)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="portal bench routes", description="Measure the look-up of operations.")
    parser.add_argument("--repetitions", type=int, default=15)
    options = parser.parse_args(arguments)
    operations = [
        Operation(method, f"/crm/v3/objects/{kind}{path}", (frozenset({f"crm.objects.{kind}"}),))
        for kind in KINDS
        for method, path in SHAPES
    ]
    routes, granted = Routes(operations, refuse_unknown=False), frozenset(f"crm.objects.{kind}" for kind in KINDS)
    sys.stdout.write(f"{len(operations)} operations, us a call{'median':>24}{'least':>10}\n")
    for method, path in PATHS:
        judge = partial(routes.rule, granted, method.encode(), path.encode())
        took = timeit.repeat(judge, number=CALLS, repeat=options.repetitions)
        times = [seconds / CALLS * 1e6 for seconds in took]
        sys.stdout.write(f"{method + ' ' + path:<41}{statistics.median(times):>8.2f}{min(times):>10.2f}\n")
