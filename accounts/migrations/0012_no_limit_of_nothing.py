"""A limit of 0 was never to be had from the portal, only by SQL. Who wants none suspends the account."""

from django.db import migrations


def raise_to_one(apps, schema_editor):
    accounts = apps.get_model("accounts", "Account").objects
    accounts.filter(burst_limit=0).update(burst_limit=1)
    accounts.filter(daily_limit=0).update(daily_limit=1)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0011_open_invitations_by_address")]

    operations = [migrations.RunPython(raise_to_one, migrations.RunPython.noop)]
