"""Roots sign trust bundles themselves, one signature each; a root is published before it is used."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models import F


def sign_anew(apps, schema_editor):
    """What an issuing CA's signer signed is taken by no device any more: let the next who asks have it signed anew."""
    bundles = apps.get_model("pki", "TrustBundle").objects.using(schema_editor.connection.alias)
    bundles.update(sign_again_at=F("signed_at"))


class Migration(migrations.Migration):

    dependencies = [
        ('pki', '0021_canaries_and_who_cannot_renew'),
    ]

    operations = [
        migrations.AlterField(
            model_name='trustbundle',
            name='signed',
            field=models.BinaryField(help_text='CMS SignedData (RFC 5652) around the contents, DER: what most devices can check.'),
        ),
        migrations.CreateModel(
            name='BundleSignature',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('signed', models.BinaryField(help_text='CMS SignedData (RFC 5652) around its contents, DER.')),
                ('bundle', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='signatures', to='pki.trustbundle')),
                ('root', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pki.issuer')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('bundle', 'root'), name='bundle_signature_once')],
            },
        ),
        migrations.AddField(
            model_name='issuer',
            name='published_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='Since when an administrator wants the trust bundle to name it.', null=True),
        ),
        migrations.AddField(
            model_name='lastseen',
            name='bundle_version',
            field=models.PositiveIntegerField(blank=True, db_index=True, help_text='The latest version of the trust bundle that it fetched on the secure listener.', null=True),
        ),
        migrations.AddField(
            model_name='standbykey',
            name='seen_at',
            field=models.DateTimeField(default=django.utils.timezone.now, help_text='When a node had it last, a day late.'),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='standbykey',
            name='withdrawn_at',
            field=models.DateTimeField(blank=True, help_text='Since when it is for nothing any more: it was lost, or worse.', null=True),
        ),
        migrations.RunPython(sign_anew, migrations.RunPython.noop),
    ]
