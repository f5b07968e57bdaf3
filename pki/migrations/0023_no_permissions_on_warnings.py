"""Nobody is given the permission to see warnings: they have no page, notices say what they say."""

from django.db import migrations


def forget(apps, schema_editor):
    Permission = apps.get_model("auth", "Permission")
    of_warnings = Permission.objects.using(schema_editor.connection.alias).filter(
        content_type__app_label="pki", content_type__model="expirywarning"
    )
    of_warnings.delete()


class Migration(migrations.Migration):
    dependencies = [("pki", "0022_trust_bundles")]
    operations = [
        migrations.AlterModelOptions(name="expirywarning", options={"default_permissions": ()}),
        migrations.RunPython(forget, migrations.RunPython.noop),
    ]
