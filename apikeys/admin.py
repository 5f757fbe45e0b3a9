"""API keys across accounts, for operators: that they exist, never their secrets."""

from django.contrib import admin

from apikeys.models import ApiKey
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
