"""The public page on moving from API keys to private apps and OAuth: where refusals, headers and mails lead."""

import json

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apikeys import secrets
from apikeys.gate import refusals
from apikeys.gate.reasons import Reason
from apikeys.models import Sunset

EXAMPLE_ID = b"0f8fad5b-d9cb-469f-a165-70867728950e"


@require_safe
@never_cache  # its frame names who is signed in
def page(request: HttpRequest) -> HttpResponse:
    prefixes = secrets.prefixes()
    context = {
        "sunset": Sunset.objects.in_force().filter(group=None).first(),
        "key": f"{prefixes[secrets.Kind.API_KEY]}_…",
        "token": f"{prefixes[secrets.Kind.PRIVATE_APP]}_…",
        "query_param": settings.API_KEY_QUERY_PARAM,
        "refusal": json.dumps(json.loads(refusals.body(Reason.SUNSET, EXAMPLE_ID)), indent=2),
    }
    return render(request, "apikeys/migrate.html", context)
