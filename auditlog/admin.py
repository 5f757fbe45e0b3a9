"""Both logs across accounts, for operators: to read."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from auditlog.models import AuditEntry, Call

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Model]
else:
    ModelAdmin = admin.ModelAdmin  # takes no type argument at run time


class ReadOnlyAdmin(ModelAdmin):
    """What operators may look at here and change only through operations."""

    actions = None

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 -- Django's
        return bool(request.user.is_active and request.user.is_staff)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 -- Django's
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 -- Django's
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 -- Django's
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    date_hierarchy = "at"
    list_display = ("at", "account_id", "actor_name", "action", "outcome", "target_name", "address")
    list_filter = ("category", "outcome")
    ordering = ("-at", "-id")
    search_fields = ("actor_name", "actor_email", "request_id")


@admin.register(Call)
class CallAdmin(ReadOnlyAdmin):
    list_display = ("at", "account_id", "method", "path", "status", "reason", "agent", "network")
    list_filter = ("status", "credential_kind")
    ordering = ("-at", "-id")
    search_fields = ("request_id",)
    show_full_result_count = False
