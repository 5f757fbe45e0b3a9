from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.models.account import Account
from accounts.models.member import Member
from accounts.permissions import Role
from auditlog.journal import Target


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        """Neither used nor withdrawn; expired ones among them."""
        return self.filter(accepted_at__isnull=True, withdrawn_at__isnull=True)

    def to(self, email: str) -> Self:
        """Those of an address, whatever its case."""
        return self.alias(address=Lower("email")).filter(address=email.lower())


InvitationManager = models.Manager.from_queryset(InvitationQuerySet)


class Invitation(models.Model):
    """A place in an account, offered to one address, to be taken once.

    The token of its link is kept as a digest alone, to be found; sending again gives it another one.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="invitations")
    email = models.EmailField(_("e-mail address"), max_length=254)
    role = models.CharField(_("role"), max_length=16, choices=Role)
    invited_by = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, related_name="+")  # null: an operator
    created_at = models.DateTimeField(editable=False)
    issue = models.UUIDField(unique=True, editable=False)  # names one mail; another with each sending
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    sent_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationManager()

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints: ClassVar = [
            models.UniqueConstraint(
                "account",
                Lower("email"),
                condition=Q(accepted_at__isnull=True, withdrawn_at__isnull=True),
                name="invitation_open_once",
            ),
            models.CheckConstraint(
                condition=Q(accepted_at__isnull=True) | Q(withdrawn_at__isnull=True), name="invitation_ends_once"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                Lower("email"),
                condition=Q(accepted_at__isnull=True, withdrawn_at__isnull=True),
                name="invitation_open_to",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def target(self) -> Target:
        return Target(kind="invitation", id=str(self.pk or ""), name=self.email, details={"role": self.role})

    @property
    def is_open(self) -> bool:
        """As `InvitationQuerySet.open()` has it."""
        return self.accepted_at is None and self.withdrawn_at is None

    def is_expired(self, *, now: datetime) -> bool:
        return now >= self.expires_at

    def withdraw(self, *, at: datetime) -> None:
        self.withdrawn_at = at
        self.save(update_fields=["withdrawn_at"])
