"""An OpenID Connect provider in a process of its own, to sign in through: django-oauth-toolkit, with its own store."""
