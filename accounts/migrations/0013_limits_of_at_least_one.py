"""On PostgreSQL for new rows; the next migration looks at those that are there, which locks nobody out."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

CONSTRAINT = models.CheckConstraint(
    condition=models.Q(("burst_limit__gte", 1), ("daily_limit__gte", 1)), name="account_limits_at_least_one"
)


class Add(AddConstraintNotValid):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        its = AddConstraintNotValid if schema_editor.connection.vendor == "postgresql" else migrations.AddConstraint
        its.database_forwards(self, app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_no_limit_of_nothing")]

    operations = [Add("account", CONSTRAINT)]
