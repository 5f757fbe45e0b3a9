"""G10 for the gate: a secret is in no answer, log, metric or row, however it was sent."""

from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection

from apikeys import secrets
from apikeys.secrets import Kind
from tests.factories import ApiKeyFactory
from tests.gates import ProcessGate, ask, bearer

pytestmark = pytest.mark.django_db(transaction=True)


def ways_to_send(secret: str) -> list[tuple[tuple[str, str], ...]]:
    """Every transport and every mistake that callers are known to make."""
    return [
        (bearer(secret),),
        (bearer(f"{secret} "),),
        (("X-API-Key", secret),),
        (("Authorization", secret),),
        (("Authorization", f"Basic {secret}"),),
        (("Authorization", f"Token {secret}"),),
        (bearer(secret), ("X-API-Key", secret[:-1] + "x")),
        (("X-Original-URI", f"/a?hapikey={secret}"),),
        (("X-Original-URI", f"/a?HAPIKEY={secret}"),),
        (("X-Original-URI", f"/oauth/v1/access-tokens/{secret}"), bearer(secret)),
        (("X-Original-URI", f"/a/{quote(secret, safe='').replace('_', '%5F')}"),),
        (("User-Agent", f"client/1.0 ({secret})"), bearer(secret)),
        (("X-Forwarded-For", secret), bearer(secret)),
        (("X-Original-Method", secret), ("X-Original-URI", "/")),
        (("Cookie", f"key={secret}"), ("X-Gateway", "nginx")),
        (("Host", secret), bearer(secret)),
    ]


def everything_stored() -> str:
    tables = ("auditlog_call", "auditlog_lastuse", "auditlog_dailyusage", "auditlog_callwriter")
    with connection.cursor() as cursor:
        rows = []
        for table in tables:
            cursor.execute(f"SELECT * FROM {table}")  # noqa: S608 -- names above
            rows += cursor.fetchall()
    assert len(rows) > len(tables)
    return repr(rows)


@pytest.mark.parametrize("kind", [Kind.API_KEY, Kind.PRIVATE_APP, Kind.REFRESH])
def test_a_canary_is_nowhere(tmp_path: Path, kind: Kind) -> None:
    canary = secrets.generate(kind)
    if kind is Kind.API_KEY:
        ApiKeyFactory.create(secret=canary)
    with ProcessGate(log=tmp_path / "gate.log") as gate:
        answers = [ask(gate.port, *headers) for headers in ways_to_send(canary)]
        answers += [ask(gate.port, target=f"/check/{canary}?hapikey={canary}"), ask(gate.port, target=f"/{canary}")]
        metrics = ask(gate.port, target="/metrics")

    log = (tmp_path / "gate.log").read_text()
    body = canary.partition("_")[2]
    assert "Started server process" in log
    assert metrics.status == 200
    for place in (repr(answers), repr(metrics), log, everything_stored()):
        assert body not in place
