"""The pages for requests that cannot be answered. They say what to do, and need neither store nor session."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from keyportal.context_processors import portal


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 -- Django's signature
    return _page(request, "errors/400.html", status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 -- Django's signature
    return _page(request, "errors/403.html", status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 -- Django's signature
    return _page(request, "errors/404.html", status=404)


def too_many_requests(request: HttpRequest) -> HttpResponse:
    return _page(request, "errors/429.html", status=429)


def server_error(request: HttpRequest) -> HttpResponse:
    return _page(request, "errors/500.html", status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 -- Django's signature
    if not request.accepts("text/html"):
        return JsonResponse({"message": _("This page is out of date. Reload it and try again.")}, status=403)
    return _page(request, "errors/csrf.html", status=403)


class MethodNotAllowedMiddleware:
    """Give the empty answer of a view that does not take the method a page; an API's answer has its body already."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not isinstance(response, HttpResponseNotAllowed) or response.content:
            return response
        page = _page(request, "errors/405.html", status=405)
        page.headers["Allow"] = response.headers["Allow"]
        return page


def _page(request: HttpRequest, template: str, *, status: int) -> HttpResponse:
    return HttpResponse(render_to_string(template, portal(request)), status=status)
