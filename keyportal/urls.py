"""Every address of the portal."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from accounts import (
    address_pages,
    invitation_pages,
    mail_choice_pages,
    mail_events,
    notice_pages,
    role_mailbox_pages,
    setup,
    single_sign_on_pages,
)
from accounts import views as people
from apikeys.views import migrate
from keyportal import health, mail_pages, mail_preview_pages

handler400 = "keyportal.errors.bad_request"
handler403 = "keyportal.errors.forbidden"
handler404 = "keyportal.errors.not_found"
handler500 = "keyportal.errors.server_error"
handler429 = "keyportal.errors.too_many_requests"  # allauth's: a rate limit is reached

urlpatterns: list[URLPattern | URLResolver] = [
    path("", people.home, name="home"),
    path("profile/", people.profile, name="profile"),
    path("profile/mails/", mail_choice_pages.save, name="profile-mails"),
    path("notices/", notice_pages.page, name="notices"),
    path("notices/read/", notice_pages.mark_read, name="notices-read"),
    path("notices/<int:notice_id>/read/", notice_pages.mark_read, name="notice-read"),
    path("mail/", mail_pages.mails, name="mails"),
    path("mail/previews/", mail_preview_pages.previews, name="mail-previews"),
    path("mail/previews/<str:kind>/<str:variation>/", mail_preview_pages.preview, name="mail-preview"),
    path("mail/previews/<str:kind>/<str:variation>/page/", mail_preview_pages.page, name="mail-preview-page"),
    path("mail/<str:name>/", mail_pages.mail, name="mail"),
    path("anymail/<str:provider>/tracking/", mail_events.webhook, name="mail-events"),
    path("mail/switch-off/<str:token>/", mail_choice_pages.switch_off, name="mails-switch-off"),
    path("theme/", people.theme, name="theme"),
    path("auth/email/", address_pages.page, name="account_email"),  # before allauth's, which keeps several
    path("auth/email/change/<str:token>/", address_pages.change, name="new-address"),
    path("auth/password/set/", people.set_password, name="account_set_password"),  # likewise
    path("auth/no-proof/", people.no_proof, name="no-proof"),
    path("auth/single-sign-on/", single_sign_on_pages.begin, name="single-sign-on"),
    path("auth/single-sign-on/callback/", single_sign_on_pages.callback, name="single-sign-on-callback"),
    path("auth/single-sign-on/proof/", single_sign_on_pages.prove, name="single-sign-on-proof"),
    path("auth/", include("allauth.account.urls")),
    path("auth/second-factor/", include("accounts.second_factor_urls")),
    path("auth/sessions/", include("allauth.usersessions.urls")),
    path("accounts/", include("accounts.urls")),
    path("accounts/<slug:slug>/", include("apikeys.urls")),
    path("accounts/<slug:slug>/", include("auditlog.urls")),
    path("", include("apikeys.account_api.urls")),
    path("migrate/", migrate.page, name="migrate"),
    path("set-up/<str:token>/", setup.set_up, name="set-up"),
    path("invitations/<str:token>/", invitation_pages.accept, name="invitation"),
    path("role-mailboxes/<str:token>/", role_mailbox_pages.confirm, name="role-mailbox-confirm"),
    path("admin/", admin.site.urls),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
]
