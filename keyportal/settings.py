"""One settings file; the environment picks embedded or at scale. `.env.example` documents each variable."""

import base64
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import environ
import structlog
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from keyportal import variables
from keyportal.logs import mask_secrets

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "data"))).resolve()
environ.Env.read_env(DATA_DIR / ".env")  # the process's own environment wins


def _ring(variable: str) -> dict[str, bytes]:
    """Read "id:base64,id:base64" (newest first) into named 32-byte keys."""
    ring = {}
    for item in env.list(variable, default=[]):
        name, _, encoded = item.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError:
            key = b""
        if not name or len(key) != 32:  # noqa: PLR2004 -- AES-256 and BLAKE2b both take 32 bytes
            raise ImproperlyConfigured(f"{variable}: each item is id:base64 of 32 bytes, newest first.")
        ring[name] = key
    if not ring:
        raise ImproperlyConfigured(f"{variable} is not set. `./portal up` makes it; see .env.example.")
    return ring


SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured(f"{DATA_DIR} holds no installation: SECRET_KEY is not set. `./portal up` makes one.")
KEY_ENCRYPTION_KEYS = _ring("KEY_ENCRYPTION_KEYS")
DIGEST_PEPPERS = _ring("DIGEST_PEPPERS")
SECRET_PREFIX = env.str("SECRET_PREFIX", default="kp")

_last_origin = DATA_DIR / "site-origin"  # where `./portal up` last stood, for commands that print addresses
SITE_ORIGIN = variables.origin(
    "SITE_ORIGIN",
    env.str("SITE_ORIGIN", default="")
    or (_last_origin.read_text() if _last_origin.exists() else "http://127.0.0.1:8000"),
)
_origin = urlsplit(SITE_ORIGIN)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[_origin.hostname, "localhost", "127.0.0.1", "[::1]"])
TRUSTED_PROXIES = variables.networks("TRUSTED_PROXIES", env.list("TRUSTED_PROXIES", default=["127.0.0.0/8", "::1/128"]))
METRICS_ALLOW = variables.networks("METRICS_ALLOW", env.list("METRICS_ALLOW", default=[]))
API_KEY_QUERY_PARAM = env.str("API_KEY_QUERY_PARAM", default="")
_api_spec = env.str("API_SPEC", default="")
API_SPEC = Path(_api_spec).resolve() if _api_spec else None
API_UNKNOWN_ROUTES = variables.one_of(
    "API_UNKNOWN_ROUTES", env.str("API_UNKNOWN_ROUTES", default="allow"), ("allow", "refuse")
)
if API_UNKNOWN_ROUTES == "refuse" and API_SPEC is None:
    raise ImproperlyConfigured("API_UNKNOWN_ROUTES is 'refuse', but API_SPEC does not say which routes are known.")
ACCESS_LOG_LISTEN = env.list("ACCESS_LOG_LISTEN", default=[])
ACCESS_LOG_TOKENS = env.list("ACCESS_LOG_TOKENS", default=[])
DEMO_PASSWORD = env.str("DEMO_PASSWORD", default="")
DEMO = env.bool("DEMO", default=False)

DEBUG = False
ROOT_URLCONF = "keyportal.urls"
WSGI_APPLICATION = "keyportal.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "keyportal.apps.OperatorAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "anymail",
    "csp",
    "django_filters",
    "django_htmx",
    "django_structlog",
    "auditlog",
    "accounts",
    "apikeys",
]

MIDDLEWARE = [
    "keyportal.strictness.StrictnessMiddleware",
    "apikeys.account_api.hidden.HiddenSecretsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "keyportal.logs.RequestLogMiddleware",
    "auditlog.origin.OriginMiddleware",
    "accounts.middleware.ReaderMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "keyportal.errors.MethodNotAllowedMiddleware",
    "accounts.middleware.SecondFactorMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "keyportal.context_processors.portal",
            ],
            "libraries": {"portal": "keyportal.template_tags"},
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# --- Store --------------------------------------------------------------------------------------------------------
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'keyportal.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",  # SQLite knows no SELECT ... FOR UPDATE: a transaction takes its lock at BEGIN
        # FULL: what is committed survives a power loss (G3).
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
else:
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        {
            # Seconds: calls and /readyz say that the store is gone before whoever asks gives up.
            "pool": {"min_size": 1, "max_size": 12, "timeout": 5},
            "connect_timeout": 5,
            "options": "-c synchronous_commit=on",
        }
    )

REDIS_URL = env.str("REDIS_URL", default="")
CACHES = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    )
}

# --- Sign-in ------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "accounts.entrance_forms.SignInForm",
    "reset_password": "accounts.entrance_forms.ForgottenPasswordForm",
    "reset_password_from_key": "accounts.entrance_forms.NewPasswordForm",
    "change_password": "accounts.entrance_forms.ChangePasswordForm",
}
ACCOUNT_EMAIL_VERIFICATION = "mandatory"  # invitations, links for passwords and the set-up link prove an address too
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # strangers do not make the portal write to addresses of their choice
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_LOGOUT_ON_GET = False
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "accounts:choose"
RECENT_AUTHENTICATION_SECONDS = 300
# By address of the visitor, by what was typed, or by who is signed in. Whether somebody has the typed e-mail address
# changes nothing. Codes of second factors count as `login_failed` of their person.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/5m/key",  # by what was typed in one network
    "login_failed_anywhere": "50/h/key",
    "single_sign_on": "60/m/ip",  # on the way there, and back
    "reset_password": "20/m/ip,5/m/key",
    "reset_password_from_key": "20/m/ip",
    "change_password": "5/m/user",
    "manage_email": "10/h/user",
    "name_mailbox": "10/h/user",
    "reauthenticate": "10/m/user",
}
MFA_ADAPTER = "accounts.adapter.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True  # nobody signs up, so nobody can lock the owner of an address out
MFA_TOTP_ISSUER = "KeyPortal"
MFA_TOTP_TOLERANCE = 0  # a code counts in its own 30 seconds, in which allauth takes it once
MFA_RATE_LIMITS = {"webauthn_login": "10/m/ip"}
MFA_FORMS = {
    "add_webauthn": "accounts.passkeys.AddPasskeyForm",
    "edit_webauthn": "accounts.passkeys.RenamePasskeyForm",
    "authenticate_webauthn": "accounts.passkeys.AuthenticateByPasskeyForm",
    "login_webauthn": "accounts.passkeys.SignInByPasskeyForm",
    "reauthenticate_webauthn": "accounts.passkeys.ReauthenticateByPasskeyForm",
}
# Single sign-on through one OpenID Connect provider, by its environment alone.
OIDC_ISSUER = variables.issuer("OIDC_ISSUER", env.str("OIDC_ISSUER", default=""))
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
variables.all_or_none(OIDC_ISSUER=OIDC_ISSUER, OIDC_CLIENT_ID=OIDC_CLIENT_ID, OIDC_CLIENT_SECRET=OIDC_CLIENT_SECRET)
OIDC_NAME = env.str("OIDC_NAME", default="") or urlsplit(OIDC_ISSUER).hostname or ""
OIDC_SECOND_FACTOR = env.bool("OIDC_SECOND_FACTOR", default=False)
SOCIALACCOUNT_ADAPTER = "accounts.openid_connect.SocialAccountAdapter"
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {"provider_class": "accounts.openid_connect.Provider", "OAUTH_PKCE_ENABLED": True}
}
USERSESSIONS_ADAPTER = "accounts.adapter.SessionsAdapter"

# --- Mail ---------------------------------------------------------------------------------------------------------
MAIL_DIR = DATA_DIR / "mail"
EMAIL_BACKEND = env.str("EMAIL_BACKEND", default="keyportal.mail.EmlFileBackend")
if env.str("EMAIL_URL", default=""):
    globals().update(env.email_url("EMAIL_URL"))
ANYMAIL = {name.removeprefix("ANYMAIL_"): value for name, value in os.environ.items() if name.startswith("ANYMAIL_")}
MAIL_IS_KEPT = EMAIL_BACKEND == "keyportal.mail.EmlFileBackend"  # as files, which /mail/ shows
EMAIL_TIMEOUT = 30  # seconds a mail server may keep silent; well below the outbox's lease
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"KeyPortal <no-reply@{_origin.hostname}>")

# --- Browser-facing security --------------------------------------------------------------------------------------
_https = _origin.scheme == "https"
CSRF_TRUSTED_ORIGINS = [SITE_ORIGIN]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https  # plain http is for loopback alone: see checks
SESSION_COOKIE_NAME = "__Host-sessionid" if _https else "sessionid"
SESSION_COOKIE_AGE = 14 * 86400
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_NAME = "__Host-csrftoken" if _https else "csrftoken"
CSRF_FAILURE_VIEW = "keyportal.errors.csrf_failure"
SECURE_SSL_REDIRECT = _https
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 365 * 86400 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # Tabler's icons inside its style sheet
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

# --- Words and files ----------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
# A language is a line here and a folder in keyportal/locale: formats.py, and LC_MESSAGES for words that differ.
LANGUAGES = [("en", _("English (United States)")), ("en-gb", _("English (United Kingdom)"))]
LOCALE_PATHS = [BASE_DIR / "keyportal" / "locale"]
FORMAT_MODULE_PATH = "keyportal.locale"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- Jobs ---------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL or f"sqla+sqlite:///{DATA_DIR / 'jobs.sqlite3'}"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_TIMEZONE = "UTC"

# --- Logs ---------------------------------------------------------------------------------------------------------
LOG_FORMAT = env.str("LOG_FORMAT", default="console" if sys.stderr.isatty() else "json")
_shared_processors: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]
structlog.configure(
    processors=[*_shared_processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _shared_processors,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                mask_secrets,
                structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
                if LOG_FORMAT == "console"
                else structlog.processors.JSONRenderer(),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}
