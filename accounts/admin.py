"""Accounts and people, for operators. Signing in to the admin goes through the portal's own sign-in."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Group

from accounts import admin_entrance
from accounts.models import Account, Member, User
from auditlog.admin import ReadOnlyAdmin

admin.site.site_header = admin.site.site_title = "KeyPortal operators"
admin.site.login = admin_entrance.enter  # type: ignore[method-assign]
admin.site.has_permission = admin_entrance.may_enter  # type: ignore[method-assign]
# What their pages change would pass the audit log by.
admin.site.unregister([Group, EmailAddress, Authenticator, UserSession])


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ("name", "slug", "number", "state", "burst_limit", "daily_limit", "created_at")
    list_filter = ("state",)
    search_fields = ("name", "slug", "number")


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    fields = ("email", "name", "time_zone", "is_staff", "is_active", "last_login", "created_at")
    list_display = ("email", "name", "is_staff", "is_active", "last_login")
    search_fields = ("email", "name")


@admin.register(Member)
class MemberAdmin(ReadOnlyAdmin):
    list_display = ("user", "account", "role", "joined_at", "left_at")
    list_filter = ("role",)
    list_select_related = ("user", "account")
    search_fields = ("user__email", "account__slug")
