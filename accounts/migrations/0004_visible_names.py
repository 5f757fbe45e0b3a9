from django.db import migrations, models

import accounts.names


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_invitation'),
    ]

    operations = [
        migrations.AlterField(
            model_name='account',
            name='name',
            field=models.CharField(max_length=100, validators=[accounts.names.validate_name], verbose_name='name'),
        ),
        migrations.AlterField(
            model_name='user',
            name='name',
            field=models.CharField(blank=True, max_length=100, validators=[accounts.names.validate_name], verbose_name='name'),
        ),
    ]
