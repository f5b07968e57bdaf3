"""What the rules are that refuse an enrollment, in words, and what an administrator can do about each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """A rule that was broken."""

    rule: str  # what was wrong
    to_do: str


_ASK_THE_SENDER = "Nothing to decide here: whoever runs the device has to send one PEM CSR."

# By the code of the refusal.
ADVICE = {
    "token_missing": Advice(
        "No token was sent, and its profile asks for one.",
        "Make a token for the device and have it sent along, or allow this CSR once.",
    ),
    "token_invalid": Advice(
        "The token is unknown, expired, cancelled or used up.",
        "Make a new token for the device, or allow this CSR once.",
    ),
    "name_mismatch": Advice(
        "The CSR's CN is not the name of the device that the token is for.",
        "Put the device's name into the CSR's CN, or register the device under the other name. Allowed once, "
        "the certificate carries the name on record.",
    ),
    "name_not_allowed": Advice(
        "The token is for devices of other names.",
        "Give the device a name that the token's pattern covers, or a token of its own.",
    ),
    "name_missing": Advice(
        "Neither the token nor the CSR says which device this is.",
        "Have the device's name put into the CSR's CN, or make a token for that device.",
    ),
    "name_refused": Advice(
        "A name in the CSR cannot be a device's name or a SAN.",
        "Have the name corrected: letters, digits, dots, hyphens and underscores.",
    ),
    "device_exists": Advice(
        "The token makes new devices, and there is a device of this name already.",
        "If it is this device again, make a token for it; if not, it needs another name.",
    ),
    "already_enrolled": Advice(
        "The device has a certificate for another key, and enrollment is open to anybody.",
        "If the device has a new key, make a token for it or allow this CSR once; if not, somebody wants its "
        "name.",
    ),
    "device_inactive": Advice(
        "The device is suspended or retired.",
        "Resume the device if it may come back; what is retired stays so.",
    ),
    "key_refused": Advice(
        "The key is of a kind or size that is not certified, or that its profile does not allow.",
        "Have a key made of a kind that the profile lists, or add the kind to the profile.",
    ),
    "key_compromised": Advice(
        "A certificate for this key was revoked as keyCompromise.",
        "The device needs a new key: this one is never certified again. Find out who still uses it.",
    ),
    "key_in_use": Advice(
        "Another device has a certificate for this key.",
        "Each device needs a key of its own: have a new one made. Keys that are copied are no identity.",
    ),
    "key_not_new": Advice(
        "The device is to have a new key, and sent one that it had before.",
        "Have a new key made on the device, or cancel its rotation if it may keep this one.",
    ),
    "san_missing": Advice(
        "A server's certificate needs SANs, and there are none on its record.",
        "Add the server's DNS names and addresses to the device; then it only has to ask again.",
    ),
    "certificate_revoked": Advice(
        "The certificate that this enrollment had given was revoked since.",
        "If the device may come back, make a new token for it.",
    ),
    "certificate_expired": Advice(
        "The certificate that this enrollment had given has expired since.",
        "Make a new token for the device, and look why it did not renew in time.",
    ),
    "issuer_compromised": Advice(
        "The issuer of the certificate that this enrollment had given is compromised, or a CA above it.",
        "Give its profile another issuer, and make a new token for the device.",
    ),
    "enrollment_rejected": Advice(
        "An administrator rejected this request.",
        "If that was a mistake, allow this CSR once.",
    ),
    "too_many_waiting": Advice(
        "Too many requests wait for approval.",
        "Approve or reject what waits; the device only has to ask again.",
    ),
    "issuer_inactive": Advice(
        "The issuer of its profile is not active.",
        "Give the profile an issuer that is; the device only has to ask again.",
    ),
    "issuer_expired": Advice(
        "The issuer of its profile has expired, or is about to.",
        "Give the profile a new issuer; the device only has to ask again.",
    ),
    "issuer_not_yet_valid": Advice(
        "By the clock of the server, the time of the profile's issuer has not come.",
        "Set the server's clock right; the device only has to ask again.",
    ),
    "private_key_sent": Advice(
        "A private key was sent instead of a CSR. It was not kept.",
        "That key is no longer secret: have a new one made, and only the CSR sent.",
    ),
    "csr_signature_invalid": Advice(
        "The CSR is not signed by the key that it holds.",
        "Have the CSR made anew, with the device's own key.",
    ),
    "csr_missing": Advice("Nothing was sent.", _ASK_THE_SENDER),
    "csr_not_pem": Advice("What was sent is not PEM.", _ASK_THE_SENDER),
    "csr_wrong_label": Advice("What was sent is PEM, but not a CSR.", _ASK_THE_SENDER),
    "csr_malformed": Advice("What was sent is not a PKCS#10 request.", _ASK_THE_SENDER),
    "csr_too_large": Advice("More was sent than any CSR needs.", _ASK_THE_SENDER),
    "body_too_large": Advice("More was sent than any CSR needs.", _ASK_THE_SENDER),
    "length_required": Advice("The body came without its length.", _ASK_THE_SENDER),
    "method_not_allowed": Advice("It was not a POST.", _ASK_THE_SENDER),
}

_UNKNOWN = Advice("A rule was broken.", "Read what the device was told.")


def on(code: str) -> Advice:
    """What there is to say of a refusal's code."""
    return ADVICE.get(code, _UNKNOWN)
