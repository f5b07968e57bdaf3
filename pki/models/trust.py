"""What devices are told to trust: cross-certificates, and the signed bundle."""

from cryptography import x509
from django.db import models

from pki.core import certificates
from pki.models.issuer import Issuer


class CrossCertificate(models.Model):
    """A root's key, certified by another root: who trusts the one can verify what is under the other."""

    subject = models.ForeignKey(
        Issuer,
        on_delete=models.PROTECT,
        related_name="cross_certificates",
        help_text="Whose key it certifies.",
    )
    signer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="cross_signed")
    serial = models.CharField(max_length=40, help_text="Lower-case hex, without leading zeros.")
    certificate_der = models.BinaryField(help_text="DER.")
    fingerprint = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the DER, hex.")
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["signer", "serial"], name="cross_certificate_serial_unique"),
        )

    def __str__(self) -> str:
        return f"{self.subject} certified by {self.signer}"

    @property
    def certificate(self) -> x509.Certificate:
        return certificates.parsed(bytes(self.certificate_der))


class TrustBundle(models.Model):
    """A version of the bundle that devices fetch at `/ca-bundle`; versions only grow."""

    version = models.PositiveIntegerField(primary_key=True)
    contents = models.TextField(help_text="What is signed: comments and certificates, PEM.")
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the contents, hex.")
    made_at = models.DateTimeField()
    signed = models.BinaryField(
        help_text="CMS SignedData (RFC 5652) around the contents, DER: what most devices can check."
    )
    signed_at = models.DateTimeField()
    sign_again_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"trust bundle {self.version}"


class BundleSignature(models.Model):
    """A version of the bundle, signed below one root: for who trusts that one alone."""

    bundle = models.ForeignKey(TrustBundle, on_delete=models.CASCADE, related_name="signatures")
    root = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="+")
    signed = models.BinaryField(help_text="CMS SignedData (RFC 5652) around its contents, DER.")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["bundle", "root"], name="bundle_signature_once"),)

    def __str__(self) -> str:
        return f"{self.bundle} under {self.root}"


class BundleSigner(models.Model):
    """A certificate that signs trust bundles, made by a root."""

    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="bundle_signers")
    key_reference = models.CharField(
        max_length=128, unique=True, help_text="Where the keystore finds its key."
    )
    serial = models.CharField(max_length=40, help_text="Lower-case hex, without leading zeros.")
    certificate_der = models.BinaryField(help_text="DER.")
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"bundle signer of {self.issuer}"


class StandbyKey(models.Model):
    """A key that is made ahead, so that its pin can be given out before it is used (RFC 7469 4.3)."""

    purpose = models.CharField(max_length=32, help_text="root, or listener-hello and so on.")
    key_reference = models.CharField(max_length=128, unique=True, help_text="Where the keystore finds it.")
    spec = models.CharField(max_length=16, help_text="Its kind: P-256 and so on.")
    spki_sha256 = models.CharField(max_length=64, help_text="SHA-256 of its SPKI, hex.")
    made_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="When a node had it last, a day late.")
    used_at = models.DateTimeField(null=True, blank=True, help_text="Since when a certificate has it.")
    withdrawn_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it is for nothing any more: it was lost, or worse."
    )

    class Meta:
        indexes = (models.Index(fields=["purpose", "used_at"], name="standby_key_for"),)

    def __str__(self) -> str:
        return f"standby key for {self.purpose}"
