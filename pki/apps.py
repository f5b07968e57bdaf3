from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PkiConfig(AppConfig):
    name = "pki"
    verbose_name = "Certificate authority"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from pki.models import lookups  # noqa: F401  importing it registers the lookup
        from pki.models.immutable import make_triggers

        post_migrate.connect(make_triggers, sender=self)
