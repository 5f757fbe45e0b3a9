from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts and people")

    def ready(self) -> None:
        from accounts import mails  # noqa: F401, PLC0415 -- its composers make themselves known; models exist only now
