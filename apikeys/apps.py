from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApiKeysConfig(AppConfig):
    name = "apikeys"
    verbose_name = _("API keys")

    def ready(self) -> None:
        from apikeys import (  # noqa: PLC0415 -- need settings and models
            checks,  # noqa: F401 -- registers itself
            mail_previews,  # noqa: F401 -- likewise
            mails,  # noqa: F401 -- likewise
            rotation_mail_previews,  # noqa: F401 -- likewise
            rotation_mails,  # noqa: F401 -- likewise
        )
