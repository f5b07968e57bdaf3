"""How far the watch has looked, who sends what, and when maintenance ran."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Max


def begin_now(apps, schema_editor):
    """What happened before is not told of."""
    using = schema_editor.connection.alias
    newest = apps.get_model("pki", "AuditEvent").objects.using(using).aggregate(newest=Max("pk"))["newest"] or 0
    apps.get_model("pki", "NoticeMark").objects.using(using).get_or_create(
        pk=1, defaults={"event_id": newest, "refusals_event_id": newest}
    )


class Migration(migrations.Migration):

    dependencies = [
        ('pki', '0017_crl_floor'),
    ]

    operations = [
        migrations.CreateModel(
            name='TaskRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, unique=True)),
                ('at', models.DateTimeField(help_text='When it began.')),
                ('milliseconds', models.PositiveIntegerField(help_text='How long it took.')),
                ('failed', models.BooleanField()),
                ('said', models.CharField(help_text='What it did, or why it failed.', max_length=200)),
            ],
        ),
        migrations.AddField(
            model_name='delivery',
            name='leased_until',
            field=models.DateTimeField(blank=True, editable=False, help_text='Until when somebody who is sending it has it alone.', null=True),
        ),
        migrations.AddField(
            model_name='noticemark',
            name='refusals_event_id',
            field=models.BigIntegerField(default=0, help_text='The same for refused enrollments, which anybody can cause: they are told hourly.'),
        ),
        migrations.CreateModel(
            name='ExpiryMark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('days', models.PositiveSmallIntegerField(help_text='The threshold.')),
                ('looked_at', models.DateTimeField()),
                ('up_to', models.DateTimeField(help_text='Whatever ends until then was looked at.')),
                ('profile', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='pki.profile')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('profile', 'days'), name='expiry_mark_once')],
            },
        ),
        migrations.RunPython(begin_now, migrations.RunPython.noop),
    ]
