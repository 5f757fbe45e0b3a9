"""The installation that tests run on: loaded by pytest before Django's settings (`-p tests.environment`)."""

import base64
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from tests import stores

DATA_DIR = Path(tempfile.mkdtemp(prefix="keyportal-tests-"))
(DATA_DIR / "static").mkdir()  # WhiteNoise wants it there before the first request


def _ring(name: str) -> str:
    return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


os.environ.update(
    DJANGO_SETTINGS_MODULE="keyportal.settings",
    DATA_DIR=str(DATA_DIR),
    SECRET_KEY=secrets.token_urlsafe(50),
    KEY_ENCRYPTION_KEYS=_ring("test-k1"),
    DIGEST_PEPPERS=_ring("test-p1"),
    DATABASE_URL=stores.database_url(DATA_DIR),
    SITE_ORIGIN="http://localhost",
    ALLOWED_HOSTS="testserver,localhost,127.0.0.1",
    LOG_LEVEL="WARNING",
)
for leftover in (
    "REDIS_URL",
    "EMAIL_URL",
    "API_KEY_QUERY_PARAM",
    "API_SPEC",
    "API_UNKNOWN_ROUTES",
    "DEMO",
    "OIDC_ISSUER",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "OIDC_NAME",
):
    os.environ.pop(leftover, None)


def pytest_unconfigure() -> None:
    shutil.rmtree(DATA_DIR, ignore_errors=True)
