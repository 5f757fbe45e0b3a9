"""Both logs across accounts, for operators: to read."""

from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from auditlog.filters import STATUS_CLASSES
from auditlog.models import AuditEntry, Call
from auditlog.usage import CALLS_KEPT_FOR

MOST_CALLS = 10_000  # on the pages of a list: counting all of them would take longer than reading these

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Model]
    CallPaginator = Paginator[Call]
else:
    ModelAdmin, CallPaginator = admin.ModelAdmin, Paginator  # take no type argument at run time


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


class NewestCalls(CallPaginator):
    @cached_property
    def count(self) -> int:
        return cast("QuerySet[Call]", self.object_list)[:MOST_CALLS].count()


class StatusClass(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:  # noqa: ARG002 -- Django's
        return STATUS_CLASSES

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:  # noqa: ARG002 -- Django's
        value = self.value()
        if value not in dict(STATUS_CLASSES):
            return queryset
        return queryset.filter(status__range=(int(value) * 100, int(value) * 100 + 99))


@admin.register(Call)
class CallAdmin(ReadOnlyAdmin):
    """Calls of the last seven days (G9), by the one index over all accounts: the order in which they were stored."""

    list_display = ("at", "account_id", "method", "path", "status", "reason", "agent", "network")
    list_filter = (StatusClass,)
    ordering = ("-id",)
    paginator = NewestCalls
    search_fields = ("request_id",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return super().get_queryset(request).filter(at__gte=timezone.now() - CALLS_KEPT_FOR)
