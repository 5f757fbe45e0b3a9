from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts and people")

    def ready(self) -> None:
        from accounts import (  # noqa: PLC0415 -- models are there from now on
            digests,  # noqa: F401 -- its composers make themselves known
            mail_events,
            mail_previews,  # noqa: F401 -- likewise
            mails,  # noqa: F401 -- likewise
            sign_in_log,
            sign_in_mails,  # noqa: F401 -- likewise
        )

        mail_events.connect()
        sign_in_log.connect()
