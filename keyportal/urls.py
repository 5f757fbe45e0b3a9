from django.urls import URLPattern, URLResolver, include, path

from keyportal import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("apikeys.account_api.urls")),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
]
