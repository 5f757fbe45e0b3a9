"""Accounts and people, for operators: to read, and to change by operations."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from accounts import bounces, group_pages, operator_pages
from accounts.models import (
    Account,
    AccountGroup,
    BouncedAddress,
    GroupedAccount,
    Invitation,
    Member,
    OutgoingMail,
    User,
)
from auditlog.admin import ReadOnlyAdmin

# What their pages change would pass the audit log by.
admin.site.unregister([Group, EmailAddress, Authenticator, UserSession, SocialAccount, SocialApp, SocialToken])


class Reached(admin.SimpleListFilter):
    title = _("mail")
    parameter_name = "reached"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:  # noqa: ARG002 -- Django's
        return [("nobody", _("reaches no super admin"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Account]) -> QuerySet[Account]:  # noqa: ARG002 -- Django's
        return queryset.filter(pk__in=bounces.unreached()) if self.value() == "nobody" else queryset


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ("name", "slug", "number", "state", "burst_limit", "daily_limit", "created_at")
    list_filter = ("state", Reached)
    search_fields = ("name", "slug", "number")

    def get_urls(self) -> list[URLPattern]:
        return [
            path("<int:pk>/plan/", operator_pages.plan, name="accounts_account_plan"),
            path("<int:pk>/suspend/", operator_pages.suspend, name="accounts_account_suspend"),
            path("<int:pk>/close/", operator_pages.close, name="accounts_account_close"),
            path("<int:pk>/reopen/", operator_pages.reopen, name="accounts_account_reopen"),
            *super().get_urls(),
        ]


@admin.register(AccountGroup)
class AccountGroupAdmin(ReadOnlyAdmin):
    list_display = ("name", "size", "created_at")
    ordering = ("name",)
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        counted: QuerySet[Model] = super().get_queryset(request).annotate(size=Count("places"))
        return counted

    @admin.display(description=_("accounts"))
    def size(self, group: Model) -> int:
        size: int = group.size  # type: ignore[attr-defined]  # annotated
        return size

    def get_urls(self) -> list[URLPattern]:
        name = "accounts_accountgroup"
        return [
            path("create/", group_pages.create, name=f"{name}_create"),
            path("<int:pk>/add-accounts/", group_pages.add_accounts, name=f"{name}_add_accounts"),
            path("<int:pk>/remove-accounts/", group_pages.remove_accounts, name=f"{name}_remove_accounts"),
            path("<int:pk>/remove/", group_pages.remove, name=f"{name}_remove"),
            *super().get_urls(),
        ]


@admin.register(GroupedAccount)
class GroupedAccountAdmin(ReadOnlyAdmin):
    list_display = ("account", "group")
    list_filter = ("group",)
    list_select_related = ("account", "group")
    ordering = ("account__name", "pk")
    search_fields = ("account__slug",)


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    fields = ("email", "name", "language", "time_zone", "is_staff", "is_active", "last_login", "created_at")
    list_display = ("email", "name", "is_staff", "is_active", "last_login")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "name")

    def get_urls(self) -> list[URLPattern]:
        return [
            path("add-operator/", operator_pages.add_operator, name="accounts_user_add_operator"),
            path("<int:pk>/remove-operator/", operator_pages.remove_operator, name="accounts_user_remove_operator"),
            path("<int:pk>/address/", operator_pages.address, name="accounts_user_address"),
            path("<int:pk>/deactivate/", operator_pages.deactivate, name="accounts_user_deactivate"),
            path("<int:pk>/reactivate/", operator_pages.reactivate, name="accounts_user_reactivate"),
            *super().get_urls(),
        ]


@admin.register(Member)
class MemberAdmin(ReadOnlyAdmin):
    list_display = ("user", "account", "role", "joined_at", "left_at")
    list_filter = ("role",)
    list_select_related = ("user", "account")
    search_fields = ("user__email", "account__slug")


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    """What its link is worked out from stays out: it would be one step nearer to somebody's place."""

    fields = (
        *("account", "email", "role", "invited_by", "created_at", "sent_at"),
        *("expires_at", "accepted_at", "accepted_by", "withdrawn_at"),
    )
    list_display = ("email", "account", "role", "invited_by", "sent_at", "expires_at", "accepted_at", "withdrawn_at")
    list_filter = ("role",)
    list_select_related = ("account", "invited_by__user")
    ordering = ("-sent_at",)
    search_fields = ("email", "account__slug")


@admin.register(BouncedAddress)
class BouncedAddressAdmin(ReadOnlyAdmin):
    list_display = ("email", "kind", "why", "since")
    list_filter = ("kind",)
    ordering = ("-since",)
    search_fields = ("email",)


@admin.register(OutgoingMail)
class OutgoingMailAdmin(ReadOnlyAdmin):
    """That a mail is owed or was sent, and why not. Its text is nowhere, and what it is written from is left out."""

    fields = ("kind", "to", "created_at", "due_at", "attempts", "failure", "sent_at", "dropped_at")
    list_display = ("to", "kind", "created_at", "due_at", "attempts", "failure", "sent_at", "dropped_at")
    ordering = ("-created_at",)
    search_fields = ("to",)
    show_full_result_count = False
