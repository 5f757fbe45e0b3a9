from django.db import migrations


def validate(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE accounts_account VALIDATE CONSTRAINT account_limits_at_least_one")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0013_limits_of_at_least_one")]

    operations = [migrations.RunPython(validate, migrations.RunPython.noop)]
