"""`python -m tests.identity_provider PORT STORE`: serve on loopback until told to end.

PUT /test/people/NAME and /test/clients/ID make people and clients, PUT /test/mischief makes it break its word.
"""

import json
import sys
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

PORT, STORE = int(sys.argv[1]), sys.argv[2]
ISSUER = f"http://127.0.0.1:{PORT}"
SIGN_IN = """<!DOCTYPE html><title>Provider</title><h1>Provider</h1><form method="post">{% csrf_token %}{{ form }}
<input type="hidden" name="next" value="{{ next }}"><button>Sign in at the provider</button></form>"""
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)

settings.configure(
    SECRET_KEY="x" * 50,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": STORE, "OPTIONS": {"timeout": 20}}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    SESSION_COOKIE_NAME="provider_session",  # browsers tell cookies apart by host, not by port
    CSRF_COOKIE_NAME="provider_csrf",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF="tests.identity_provider.pages",
    LOGIN_URL="/sign-in/",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    ("django.template.loaders.locmem.Loader", {"registration/login.html": SIGN_IN}),
                    "django.template.loaders.app_directories.Loader",
                ],
                "context_processors": ["django.template.context_processors.request"],
            },
        }
    ],
    USE_TZ=True,
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": ISSUER,
        "OIDC_RSA_PRIVATE_KEY": KEY.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        "OAUTH2_VALIDATOR_CLASS": "tests.identity_provider.pages.Validator",
        "PKCE_REQUIRED": False,  # verified where it is sent; some providers know no more
        "SCOPES": {"openid": "Who you are", "profile": "Your name", "email": "Your address"},
    },
)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_line: Any) -> None:
        """Tests read the portal's log, not this one's."""


def main() -> None:
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 -- settings are there from now on
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 -- likewise

    call_command("migrate", verbosity=0)
    with make_server("127.0.0.1", PORT, get_wsgi_application(), Server, Quiet) as server:
        print(json.dumps({"issuer": ISSUER}), flush=True)  # noqa: T201 -- says that it is ready
        server.serve_forever()


if __name__ == "__main__":
    main()
