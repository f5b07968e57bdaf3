"""Refused renewals are read on their own: they wait for no refused enrollment."""

from django.db import migrations, models
from django.db.models import F


def begin_where_it_was(apps, schema_editor):
    marks = apps.get_model("pki", "NoticeMark").objects.using(schema_editor.connection.alias)
    marks.update(renewals_event_id=F("refusals_event_id"))


class Migration(migrations.Migration):

    dependencies = [
        ('pki', '0019_campaigns'),
    ]

    operations = [
        migrations.AddField(
            model_name='noticemark',
            name='renewals_event_id',
            field=models.BigIntegerField(default=0, help_text='The same for refused renewals.'),
        ),
        migrations.RunPython(begin_where_it_was, migrations.RunPython.noop),
    ]
