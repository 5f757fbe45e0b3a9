"""The pages for requests that cannot be answered. They say what to do, and need neither store nor session."""

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from accounts.themes import chosen_theme


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
    return _page(request, "errors/csrf.html", status=403)


def _page(request: HttpRequest, template: str, *, status: int) -> HttpResponse:
    return HttpResponse(render_to_string(template, {"theme": chosen_theme(request)}), status=status)
