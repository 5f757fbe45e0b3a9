"""Which scope a private or connected app needs for which endpoint; the account key opens them all."""

from apikeys.account_api.endpoints import SCOPES
from apikeys.api_document import Operation
from apikeys.gate.routes import Routes

# Unknown paths pass: the endpoints answer them with 404.
_routes = Routes(
    (Operation("GET", path, (frozenset({scope}),)) for path, scope in SCOPES.items()),
    refuse_unknown=False,
)
rule = _routes.rule
