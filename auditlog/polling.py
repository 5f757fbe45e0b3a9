"""Parts of pages that fetch themselves anew every few seconds."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseRedirectBase
from django_htmx.http import HttpResponseClientRedirect

P = ParamSpec("P")


def polled(view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
    """Lead the whole page on where a redirect would put the sign-in form into a part of it."""

    @wraps(view)
    def answered(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        response = view(*args, **kwargs)
        request = args[0]
        is_part = isinstance(request, HttpRequest) and "HX-Request" in request.headers
        if is_part and isinstance(response, HttpResponseRedirectBase):
            return HttpResponseClientRedirect(response.url)
        return response

    return answered
