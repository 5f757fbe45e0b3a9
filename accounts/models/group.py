from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.models.account import Account
from accounts.names import tidy, validate_name
from auditlog.journal import Target


class AccountGroup(models.Model):
    """Accounts that operators treat alike. What counts for a group stands in place of what counts for all accounts."""

    name = models.CharField(_("name"), max_length=100, validators=[validate_name])
    created_at = models.DateTimeField(_("created"), editable=False)

    class Meta:
        verbose_name = _("group of accounts")
        verbose_name_plural = _("groups of accounts")
        constraints: ClassVar = [
            models.UniqueConstraint(
                Lower("name"),
                name="accountgroup_name_once",
                violation_error_message=_("There is a group of this name already."),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        self.name = tidy(self.name)

    @property
    def target(self) -> Target:
        return Target(kind="account_group", id=str(self.pk), name=self.name)


class GroupedAccount(models.Model):
    """An account's place in a group; there is at most one, so that at most one group's rule counts for an account."""

    account = models.OneToOneField(Account, primary_key=True, on_delete=models.CASCADE, related_name="grouped")
    group = models.ForeignKey(AccountGroup, on_delete=models.PROTECT, related_name="places")

    class Meta:
        verbose_name = _("account in a group")
        verbose_name_plural = _("accounts in groups")

    def __str__(self) -> str:
        return f"account {self.account_id} in group {self.group_id}"
