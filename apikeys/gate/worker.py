"""What each of several gate processes imports: Django is set up before anything that needs it."""

import django

django.setup()

from apikeys.gate.app import GateProtocol, lifespan  # noqa: E402 -- after the line above

__all__ = ["GateProtocol", "lifespan"]
