"""The forms of issuing by hand: for whom, for which key, and how a key that is made here is handed over."""

from typing import Any, ClassVar

from django import forms
from django.http import QueryDict
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from pki.core import bundles, csr, file_passwords, keys, names
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.core.names import SUBJECT_ATTRIBUTES, SanKind
from pki.core.profiles import ExtendedKeyUsage
from pki.models import Device, Profile
from pki.services.by_hand import Holder
from pki.services.exporting.identities import Above, Container
from pki.services.fleet import devices
from pki.services.issuing import listener_certificates

GIVEN, MADE = "given", "made"
GENERATED, OWN = "generated", "own"
# In the order in which people write an address; the CN is the name.
_ATTRIBUTES = {
    "O": "Organization (O)",
    "OU": "Unit (OU)",
    "L": "Town (L)",
    "ST": "State or province (ST)",
    "C": "Country (C)",
}
_FEW = 5
_KEY_MARK = "PRIVATE KEY-----"


def without_private_keys(data: QueryDict) -> QueryDict:
    """What was posted, less every value that holds a private key: no page may show it again."""
    spoilt = [name for name in data if any(_KEY_MARK in value for value in data.getlist(name))]
    if not spoilt:
        return data
    kept = data.copy()
    for name in spoilt:
        kept[name] = ""
    kept["private_key_in"] = spoilt[0]
    return kept


class AskForm(forms.Form):
    """What every one of them asks: for which key. Subclasses ask for whom."""

    whom: ClassVar[str]
    title: ClassVar[str]
    explanation: ClassVar[str]

    source = forms.ChoiceField(
        label="The key",
        choices=[
            (GIVEN, "It has a key of its own, and here is its CSR"),
            (MADE, "It cannot make a key: make key and certificate here"),
        ],
        initial=GIVEN,
        widget=UnfoldAdminRadioSelectWidget,
    )
    csr = forms.CharField(
        label="CSR",
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={
                "rows": 8,
                "spellcheck": "false",
                "autocomplete": "off",
                "placeholder": "-----BEGIN CERTIFICATE REQUEST-----",
            }
        ),
        help_text="Paste it in PEM. It holds no secret; the private key stays where it was made.",
    )
    csr_file = forms.FileField(
        label="Or a file with the CSR",
        required=False,
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"class": "file-input"}),
        help_text="PEM or DER. A file is taken before what is pasted.",
    )
    spec = forms.ChoiceField(
        label="Kind of key",
        required=False,
        choices=[("", "what the profile prefers"), *((spec, spec) for spec in keys.SPECS)],
        widget=UnfoldAdminSelectWidget,
        help_text="P-256 suits nearly everything; very old systems want RSA-2048.",
    )

    holder: Holder
    key: VerifiedRequest | str

    first: ClassVar[tuple[str, ...]]

    @property
    def first_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.first]

    @property
    def key_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("source", "csr", "csr_file", "spec")]

    def for_whom(self, cleaned: dict[str, Any]) -> Holder:
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if (spoilt := self.data.get("private_key_in")) in self.fields:
            self.errors.pop(spoilt, None)
            self.add_error(spoilt, csr.PrivateKeySent().detail)
        if not self.errors:
            self.holder = self.for_whom(cleaned)
        if cleaned.get("source") == MADE:
            self.key = cleaned.get("spec") or ""
        elif "csr" not in self.errors:
            self._read_csr(cleaned)
        return cleaned

    def _read_csr(self, cleaned: dict[str, Any]) -> None:
        file = cleaned.get("csr_file")
        field = "csr_file" if file else "csr"
        data = file.read(csr.LARGEST_CSR + 1) if file else cleaned.get("csr", "").strip().encode()
        if not data.strip():
            self.add_error(field, "Paste a CSR, choose a file that holds one, or have the key made here.")
            return
        try:
            self.key = csr.verify_file(data)
        except Refusal as refusal:
            self.add_error(field, refusal.detail)

    def kept(self) -> list[tuple[str, str]]:
        """What the form was filled in with, for hidden fields: of a file, the CSR that was in it."""
        values = {name: str(self[name].value() or "") for name in self.fields if name != "csr_file"}
        if isinstance(self.key, VerifiedRequest):
            values["csr"] = bundles.pem_request(self.key.parsed).decode()
        return [("whom", self.whom), *values.items()]


class OnRecordForm(AskForm):
    whom = "record"
    title = "A device on record"
    explanation = "A device, a server or a service that Hatchery knows by its name."

    device = forms.CharField(
        max_length=64,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="Its whole name.",
    )
    first = ("device",)

    def clean_device(self) -> str:
        name: str = self.cleaned_data["device"]
        if not Device.objects.filter(name=name).exists():
            begin_so = Device.objects.filter(name__begins=name).order_by("name")[:_FEW]
            alike = ", ".join(device.name for device in begin_so)
            hint = f"Did you mean {alike}?" if alike else "Register it, or choose “A new device” above."
            raise forms.ValidationError(f"There is no device {name!r}. {hint}")
        return name

    def for_whom(self, cleaned: dict[str, Any]) -> Holder:
        return Holder(cleaned["device"])


def _name(cleaned: dict[str, Any]) -> str:
    name: str = cleaned["name"]
    return name


class NewForm(AskForm):
    """A device that is registered together with its certificate."""

    usual_profile: ClassVar[str]
    without_profile = "There is no profile yet; make one under Profiles."

    name = forms.CharField(
        max_length=64, widget=UnfoldAdminTextInputWidget, help_text="The CN of its certificates."
    )
    profile = forms.ModelChoiceField(Profile.objects.none(), widget=UnfoldAdminSelectWidget)
    sans = forms.CharField(
        label="Subject alternative names",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="One a line: DNS:door.example, IP:10.0.0.7, email:door@example.com or URI:urn:door.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for short, label in _ATTRIBUTES.items():
            self.fields[short] = forms.CharField(
                label=label,
                required=False,
                max_length=SUBJECT_ATTRIBUTES[short].longest,
                widget=UnfoldAdminTextInputWidget,
            )
        suiting = [profile for profile in Profile.objects.order_by("name") if self.suits(profile)]
        field = self.fields["profile"]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = Profile.objects.select_related("issuer__parent").filter(
                pk__in=[profile.pk for profile in suiting]
            )
        usual = next((profile for profile in suiting if profile.name == self.usual_profile), None)
        self.initial.setdefault("profile", usual.pk if usual else None)
        if not suiting:
            field.help_text = self.without_profile

    @property
    def subject_fields(self) -> list[forms.BoundField]:
        return [self[short] for short in _ATTRIBUTES]

    @property
    def has_subject(self) -> bool:
        return any(field.value() or field.errors for field in self.subject_fields)

    def suits(self, profile: Profile) -> bool:
        return True

    def clean_sans(self) -> list[str]:
        sans = []
        for number, line in enumerate(self.cleaned_data["sans"].splitlines(), 1):
            if line.strip():
                try:
                    sans.append(str(self.parse_san(line.strip())))
                except names.NameRefused as refusal:
                    self.add_error("sans", f"Line {number}: {refusal.detail}")
        return sans

    def parse_san(self, line: str) -> names.San:
        return names.parse_san(line)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        for field in _ATTRIBUTES:
            if cleaned.get(field):
                try:
                    names.checked_subject({field: cleaned[field]})
                except names.NameRefused as refusal:
                    self.add_error(field, refusal.detail)
        return cleaned

    def for_whom(self, cleaned: dict[str, Any]) -> Holder:
        subject = {short: cleaned[short] for short in _ATTRIBUTES if cleaned.get(short)}
        return Holder(_name(cleaned), cleaned["profile"], subject, cleaned["sans"])


class NewDeviceForm(NewForm):
    whom = "device"
    title = "A new device"
    explanation = "It is registered together with its certificate."

    first = ("name", "profile", "sans")
    usual_profile = devices.DEFAULT_PROFILE

    def clean_name(self) -> str:
        try:
            return names.device_name(self.cleaned_data["name"])
        except names.NameRefused as refusal:
            raise forms.ValidationError(refusal.detail) from refusal


class NewServerForm(NewForm):
    whom = "server"
    title = "A new server or service"
    explanation = (
        "To Hatchery, a server is a device whose profile says serverAuth. Its clients compare the host in "
        "their URL with its subject alternative names: name every DNS name and address that they use."
    )

    first = ("sans", "name", "profile")
    usual_profile = listener_certificates.SERVER_PROFILE
    without_profile = "No profile is for servers; make one under Profiles, with serverAuth."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sans"].required = True
        self.fields["sans"].help_text = "One a line: www.example.com, *.example.com, 10.0.0.7, 2001:db8::7."
        self.fields["name"].required = False
        self.fields["name"].help_text = "Its name here, and its CN. Left empty, the first of the above."

    def suits(self, profile: Profile) -> bool:
        return ExtendedKeyUsage.SERVER_AUTH in profile.extended_key_usages

    def parse_san(self, line: str) -> names.San:
        prefix = line.partition(":")[0].strip().lower()
        if prefix in (kind.lower() for kind in SanKind):
            return names.parse_san(line)
        return names.host_san(line)

    def clean(self) -> dict[str, Any]:
        if not self.cleaned_data.get("name") and self.cleaned_data.get("sans"):
            self.cleaned_data["name"] = names.parse_san(self.cleaned_data["sans"][0]).value
        if name := self.cleaned_data.get("name"):
            try:
                names.device_name(name)
            except names.NameRefused as refusal:
                self.add_error("name", f"{name[:64]!r} cannot be its name. {refusal.detail}")
        return super().clean()


FORMS: dict[str, type[AskForm]] = {form.whom: form for form in (OnRecordForm, NewDeviceForm, NewServerForm)}


class HandoverForm(forms.Form):
    """How a key that is made here reaches its device."""

    container = forms.ChoiceField(
        label="File",
        choices=[
            (Container.MODERN, "PKCS#12 (.p12), today's algorithms"),
            (Container.LEGACY, "PKCS#12 (.p12) for older iOS, Android and Windows: 3DES and SHA-1"),
            (Container.JAVA, "For Java (keystore): PKCS#12, today's algorithms"),
            (Container.PEM, "PEM: the encrypted key, the certificate and its chain in one file"),
            (Container.MOBILECONFIG, "For iPhone, iPad and Mac (.mobileconfig): a PKCS#12 and the roots"),
            (Container.KUBERNETES, "For Kubernetes: a TLS Secret, in YAML, without a password"),
        ],
        initial=Container.MODERN,
        widget=UnfoldAdminRadioSelectWidget,
        help_text=(
            "If a phone says that a password is wrong which is right, it wants the older algorithms. "
            "They are weak: give such a file a long password, and delete it once it is installed."
        ),
    )
    above = forms.ChoiceField(
        label="The CAs above it",
        choices=[
            (Above.CHAIN, "The chain, without the root"),
            (Above.ROOT, "The chain and the root"),
            (Above.NONE, "None"),
        ],
        initial=Above.CHAIN,
        required=False,
        widget=UnfoldAdminRadioSelectWidget,
        help_text="In PKCS#12 and PEM. Some programs want the root in the file too, to trust it.",
    )
    secret = forms.ChoiceField(
        label="Password of the file",
        choices=[(GENERATED, "The one above"), (OWN, "One of my own")],
        initial=GENERATED,
        widget=UnfoldAdminRadioSelectWidget,
    )
    generated = forms.CharField(widget=forms.HiddenInput)
    password = forms.CharField(
        label="Your own password",
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=f"At least {file_passwords.SHORTEST} ASCII characters.",
    )
    password_again = forms.CharField(
        label="The same again",
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("secret") != OWN:
            return cleaned
        if cleaned.get("password") != cleaned.get("password_again"):
            self.add_error("password_again", "The two are not the same.")
            return cleaned
        try:
            file_passwords.check(cleaned.get("password") or "")
        except file_passwords.PasswordRefused as refusal:
            self.add_error("password", refusal.detail)
        return cleaned

    @property
    def was_shown(self) -> bool:
        """Whether the page offered a generated password, which may be written down already."""
        try:
            file_passwords.check(str(self["generated"].value() or ""))
        except file_passwords.PasswordRefused:
            return False
        return True

    @property
    def chosen_password(self) -> str:
        name = "password" if self.cleaned_data["secret"] == OWN else "generated"
        return str(self.cleaned_data[name])

    @property
    def chosen_container(self) -> Container:
        return Container(self.cleaned_data["container"])

    @property
    def chosen_above(self) -> Above:
        return Above(self.cleaned_data["above"] or Above.CHAIN)
