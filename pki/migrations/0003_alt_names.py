"""Make the SANs of certificates that were issued before searchable."""

from django.db import migrations

BATCH = 2_000


def fill(apps, schema_editor):
    Certificate = apps.get_model("pki", "Certificate")
    SubjectAltName = apps.get_model("pki", "SubjectAltName")
    rows = []
    for pk, sans in Certificate.objects.order_by("pk").values_list("pk", "sans").iterator(chunk_size=BATCH):
        rows += [SubjectAltName(certificate_id=pk, value=san.partition(":")[2].lower()) for san in sans]
        if len(rows) >= BATCH:
            SubjectAltName.objects.bulk_create(rows)
            rows = []
    SubjectAltName.objects.bulk_create(rows)


class Migration(migrations.Migration):
    dependencies = [("pki", "0002_console")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
