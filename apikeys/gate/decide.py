"""The one judgement of a call, made by the gate process and by the web process for the account API alike."""

from apikeys.gate.limits import Window
from apikeys.gate.packed import PackedCall
from apikeys.gate.reasons import Reason
from apikeys.gate.store import Credential

OPEN = "open"


def standing(credential: Credential) -> Reason:
    """What the store alone says: accepted, or why the credential is refused whatever the limits."""
    if credential.end:
        return Reason(credential.end)
    return Reason.ACCEPTED if credential.account_state == OPEN else Reason(credential.account_state)


def judge(its_standing: Reason, window: Window | PackedCall, boot: float, wall: float) -> Reason:
    """Accept and count the call, or say why not; a refused call is not counted.

    :param boot: seconds of `boot_seconds`, read after the request's last byte; `wall`: Unix time.
    """
    return its_standing or window.take(boot, wall)
