"""The portal's own API: account details and usage, in the dialect that existing clients speak.

A call comes in by `door`, which asks the same check as the gate and writes the same call log. Behind it stand the
endpoints (`endpoints`, `shapes`); `document` describes them, `views` shows the description.
"""

PREFIXES = ("/integrations/", "/account-info/")  # every path below them answers in JSON, errors included
