"""The paths behind the door; resolved by it, not by the site."""

from django.urls import path

from apikeys.account_api.endpoints import api

urlpatterns = [path("", api.urls)]
