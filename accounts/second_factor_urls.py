"""Pages of second factors: allauth's, each `whole`."""

from allauth.mfa.base import views as base
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.urls import path

from accounts.sign_in_log import whole

urlpatterns = [
    path("", whole(base.index), name="mfa_index"),
    path("authenticate/", whole(base.authenticate), name="mfa_authenticate"),
    path("reauthenticate/", whole(base.reauthenticate), name="mfa_reauthenticate"),
    path("app/add/", whole(totp.activate_totp), name="mfa_activate_totp"),
    path("app/remove/", whole(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("recovery-codes/", whole(recovery_codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("recovery-codes/new/", whole(recovery_codes.generate_recovery_codes), name="mfa_generate_recovery_codes"),
    path("recovery-codes/file/", whole(recovery_codes.download_recovery_codes), name="mfa_download_recovery_codes"),
    path("passkeys/", whole(webauthn.list_webauthn), name="mfa_list_webauthn"),
    path("passkeys/add/", whole(webauthn.add_webauthn), name="mfa_add_webauthn"),
    path("passkeys/sign-in/", whole(webauthn.login_webauthn), name="mfa_login_webauthn"),
    path("passkeys/reauthenticate/", whole(webauthn.reauthenticate_webauthn), name="mfa_reauthenticate_webauthn"),
    path("passkeys/<int:pk>/remove/", whole(webauthn.remove_webauthn), name="mfa_remove_webauthn"),
    path("passkeys/<int:pk>/name/", whole(webauthn.edit_webauthn), name="mfa_edit_webauthn"),
]
