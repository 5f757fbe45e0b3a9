"""How allauth behaves here."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.utils import timezone

from accounts import operations
from accounts.models import User


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 -- allauth's signature
        """People come by the set-up link, the operator or an invitation; nobody signs up on their own."""
        return False

    def login(self, request: HttpRequest, user: User) -> None:
        super().login(request, user)
        operations.note_sign_in(user=user, now=timezone.now())
