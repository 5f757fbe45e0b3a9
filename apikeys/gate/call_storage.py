"""`python -m apikeys.gate.call_storage`: the gate's child that puts its calls into the call log."""

import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keyportal.settings")
    django.setup()
    from apikeys.secrets import mask  # noqa: PLC0415 -- needs the settings
    from auditlog.call_process import serve  # noqa: PLC0415 -- needs the settings

    serve(mask, batches=sys.stdin.buffer, answers=sys.stdout.buffer)


if __name__ == "__main__":
    main()
