"""djangorestframework-api-key with a limit and a logged call, one Django project in one file.

`python django_api_key.py seed N FILE` makes the tables and N keys, one a line in FILE; granian serves `application`.
PostgreSQL by PEER_DATABASE, a URL.
"""

import os
import sys
import time
import uuid
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application

database = urlsplit(os.environ["PEER_DATABASE"])
settings.configure(
    SECRET_KEY="of a benchmark",  # noqa: S106 -- protects nothing
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "rest_framework_api_key"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database.path.lstrip("/"),
            "USER": database.username,
            "PASSWORD": database.password or "",
            "HOST": database.hostname,
            "PORT": database.port or 5432,
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()

from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from rest_framework_api_key.models import APIKey
from rest_framework_api_key.permissions import HasAPIKey

LIMIT = 10**9
TABLE = """CREATE TABLE peer_calls (id bigserial PRIMARY KEY, at timestamptz, key text, status smallint, method text,
    path text, user_agent text, address inet, request_id uuid); CREATE INDEX ON peer_calls (key, at)"""
ROW = """INSERT INTO peer_calls (at, key, status, method, path, user_agent, address, request_id)
    VALUES (now(), %s, 204, %s, %s, %s, %s, %s)"""


class TenSeconds(BaseThrottle):
    """A counter for each key and 10 seconds in the process; the framework keeps a list of times, which costs more."""

    def allow_request(self, request: HttpRequest, view: APIView) -> bool:  # noqa: ARG002 -- as the framework calls it
        window = f"{request.META['HTTP_AUTHORIZATION'][8:16]}:{time.time() // 10:.0f}"
        cache.add(window, 0, 30)
        return int(cache.incr(window)) <= LIMIT


class Check(APIView):
    permission_classes = [HasAPIKey]  # noqa: RUF012 -- as the framework has it
    throttle_classes = [TenSeconds]  # noqa: RUF012 -- as above

    def get(self, request: HttpRequest) -> HttpResponse:
        meta = request.META
        prefix = meta["HTTP_AUTHORIZATION"][8:16]
        with connection.cursor() as cursor:
            said = [prefix, request.method, request.path, meta.get("HTTP_USER_AGENT", ""), meta["REMOTE_ADDR"]]
            cursor.execute(ROW, [*said, uuid.uuid4()])
        return HttpResponse(status=204)


def seed(number: int, file: str) -> None:
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
    keys = [APIKey(name=f"key {n}") for n in range(number)]
    secrets = [APIKey.objects.assign_key(key) for key in keys]
    APIKey.objects.bulk_create(keys)
    with open(file, "w") as out:  # noqa: PTH123 -- it runs in an environment of its own
        out.write("\n".join(secrets) + "\n")


urlpatterns = [path("", Check.as_view())]

if __name__ == "__main__":
    seed(int(sys.argv[2]), sys.argv[3])
else:
    application = get_wsgi_application()
