"""The closed vocabulary of the audit log: what can be done, by name."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Category(TextChoices):
    API_KEY = "api_key", _("API key")
    ACCOUNT = "account", _("Account")
    MEMBER = "member", _("Members")
    SIGN_IN = "sign_in", _("Sign-in")


class Action(TextChoices):
    """`category.verb`; the label reads after a person's name: "Ada viewed the API key"."""

    API_KEY_CREATED = "api_key.created", _("created the API key")
    API_KEY_VIEWED = "api_key.viewed", _("viewed the API key")
    API_KEY_ROTATED = "api_key.rotated", _("rotated the API key")
    API_KEY_DEACTIVATED = "api_key.deactivated", _("deactivated the API key")
    ACCOUNT_CREATED = "account.created", _("created the account")
    ACCOUNT_PLAN_CHANGED = "account.plan_changed", _("changed the plan")
    ACCOUNT_SEEDED = "account.seeded", _("seeded accounts for a measurement")
    MEMBER_JOINED = "member.joined", _("joined the account")
    SIGN_IN_SUCCEEDED = "sign_in.succeeded", _("signed in")
    SIGN_IN_FAILED = "sign_in.failed", _("failed to sign in")
    SECOND_FACTOR_ADDED = "sign_in.second_factor_added", _("added a second factor")
    SECOND_FACTOR_REMOVED = "sign_in.second_factor_removed", _("removed a second factor")
    RECOVERY_CODES_GENERATED = "sign_in.recovery_codes_generated", _("generated recovery codes")
    RECOVERY_CODE_USED = "sign_in.recovery_code_used", _("used a recovery code")
    SESSIONS_ENDED = "sign_in.sessions_ended", _("signed out everywhere else")

    @property
    def category(self) -> Category:
        return Category(self.value.partition(".")[0])


class Outcome(TextChoices):
    DONE = "done", _("Done")
    REFUSED = "refused", _("Refused")
