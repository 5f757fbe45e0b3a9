"""Text that people type and the portal keeps takes no secret: whoever reads it later would have it (G10)."""

import pytest
from django.core.exceptions import ValidationError
from django.forms import Field

from accounts import forms, passkeys
from accounts.setup import SetUpForm
from apikeys import secrets
from apikeys.rotation_forms import SnoozeForm

KEPT = {
    "why an account is suspended": forms.ReasonForm.base_fields["reason"],
    "why a member needs the key": forms.AccessRequestForm.base_fields["reason"],
    "why a reminder is snoozed": SnoozeForm.base_fields["reason"],
    "whom a super admin invites": forms.InviteForm.base_fields["email"],
    "what an account is called": forms.AccountForm.base_fields["name"],
    "why somebody gets another address": forms.AssignAddressForm.base_fields["reason"],
    "which address an operator gives somebody": forms.AssignAddressForm.base_fields["email"],
    "whom an operator makes an operator": forms.OperatorForm.base_fields["email"],
    "what a new person is called": forms.NewPersonForm.base_fields["name"],
    "what the first account is called": SetUpForm.base_fields["account_name"],
    "what the first person is called": SetUpForm.base_fields["name"],
    "what a new passkey is called": passkeys.AddPasskeyForm.base_fields["name"],
    "what a passkey is called": passkeys.RenamePasskeyForm.base_fields["name"],
}


@pytest.mark.parametrize("kind", secrets.Kind)
@pytest.mark.parametrize("field", KEPT.values(), ids=KEPT)
def test_a_text_that_is_kept_takes_no_secret(field: Field, kind: secrets.Kind) -> None:
    for text in (secrets.generate(kind), f"{secrets.generate(kind)}@acme.example"):
        with pytest.raises(ValidationError, match=r"looks like a key|not an e-mail address"):
            field.clean(text)
