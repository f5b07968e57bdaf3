"""Call things as the console's sidebar does."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('pki', '0010_form_answered'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='auditevent',
            options={'verbose_name_plural': 'audit log'},
        ),
        migrations.AlterModelOptions(
            name='devicegroup',
            options={'verbose_name': 'group'},
        ),
        migrations.AlterModelOptions(
            name='enrollmentrequest',
            options={'verbose_name': 'request', 'verbose_name_plural': 'inbox'},
        ),
        migrations.AlterModelOptions(
            name='enrollmenttoken',
            options={'verbose_name': 'token'},
        ),
    ]
