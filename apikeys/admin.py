"""Credentials across accounts, for operators: that they exist, never their secrets; and which apps can be connected."""

from django.contrib import admin
from django.urls import URLPattern, path
from django.utils import formats, timezone
from django.utils.translation import gettext_lazy as _

from apikeys import operator_pages, sunset_pages
from apikeys.models import ApiKey, ConnectedApp, Connection, Sunset
from auditlog.admin import ReadOnlyAdmin


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    fields = (
        "account",
        "generation",
        "last4",
        "created_at",
        "created_by",
        "deactivated_at",
        "deactivated_by",
        "end",
    )
    list_display = ("account", "generation", "last4", "created_at", "deactivated_at", "end")
    list_filter = ("end",)
    list_select_related = ("account",)
    search_fields = ("account__slug",)


@admin.register(ConnectedApp)
class ConnectedAppAdmin(ReadOnlyAdmin):
    fields = ("name", "client_id", "redirect_uris", "scopes", "registered_at", "withdrawn_at")
    list_display = ("name", "client_id", "registered_at", "withdrawn_at")
    ordering = ("name",)
    search_fields = ("name",)

    def get_urls(self) -> list[URLPattern]:
        return [
            path("register/", operator_pages.register, name="apikeys_connectedapp_register"),
            path("<int:pk>/edit/", operator_pages.change, name="apikeys_connectedapp_edit"),
            path("<int:pk>/withdraw/", operator_pages.withdraw, name="apikeys_connectedapp_withdraw"),
            *super().get_urls(),
        ]


@admin.register(Connection)
class ConnectionAdmin(ReadOnlyAdmin):
    fields = ("app", "account", "scopes", "connected_at", "connected_by", "disconnected_at", "disconnected_by")
    list_display = ("app", "account", "connected_at", "disconnected_at")
    list_filter = ("app",)
    list_select_related = ("app", "account")
    ordering = ("-connected_at",)
    search_fields = ("account__slug", "app__name")


@admin.register(Sunset)
class SunsetAdmin(ReadOnlyAdmin):
    fields = (
        *("group", "creation_ends_at", "authentication_ends_at", "rehearsed"),
        *("announced_at", "changed_at", "withdrawn_at"),
    )
    readonly_fields = ("rehearsed",)
    list_display = ("__str__", "creation_ends_at", "authentication_ends_at", "announced_at", "withdrawn_at")
    list_select_related = ("group",)
    ordering = ("withdrawn_at", "-announced_at")

    @admin.display(description=_("brownouts"))
    def rehearsed(self, sunset: Sunset) -> str:
        when = [formats.date_format(timezone.localtime(one.starts_at), "DATETIME_FORMAT") for one in sunset.rehearsals]
        minutes = [one.minutes for one in sunset.rehearsals]
        return "; ".join(f"{at} ({length} min)" for at, length in zip(when, minutes, strict=True)) or "–"

    def get_urls(self) -> list[URLPattern]:
        return [
            path("announce/", sunset_pages.announce, name="apikeys_sunset_announce"),
            path("<int:pk>/edit/", sunset_pages.change, name="apikeys_sunset_edit"),
            path("<int:pk>/withdraw/", sunset_pages.withdraw, name="apikeys_sunset_withdraw"),
            path(
                "<int:pk>/forecast/",
                self.admin_site.admin_view(sunset_pages.who_misses_it),
                name="apikeys_sunset_forecast",
            ),
            *super().get_urls(),
        ]
