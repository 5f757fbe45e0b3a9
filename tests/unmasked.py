"""The web process with its nets taken away, to show that the search for the canary can find it."""

from apikeys import secrets

secrets.mask = lambda text: text

from keyportal.wsgi import application  # noqa: E402 -- only now, when nothing is masked any more

__all__ = ["application"]
