"""docs/clients/phones.md: the XML on it."""

import re
from xml.etree import ElementTree

from tests.server import ROOT

PAGE = (ROOT / "docs" / "clients" / "phones.md").read_text()
ANDROID = "{http://schemas.android.com/apk/res/android}"
# Android's elements of a network security configuration, with those that may stand in them.
WITHIN = {
    "network-security-config": {"base-config", "domain-config", "debug-overrides"},
    "domain-config": {"domain", "trust-anchors", "pin-set", "domain-config"},
    "trust-anchors": {"certificates"},
    "domain": set(),
    "certificates": set(),
}


def blocks() -> dict[str, str]:
    """The blocks of XML, by the file that each names."""
    return dict(re.findall(r"^```xml\n<!-- (\S+) -->\n(.*?)^```", PAGE, re.S | re.M))


def test_the_configuration_has_what_android_knows_and_names_the_one_root():
    root = ElementTree.fromstring(blocks()["res/xml/network_security_config.xml"])  # noqa: S314
    assert root.tag == "network-security-config"
    for element in root.iter():
        assert {child.tag for child in element} <= WITHIN[element.tag]
    assert [element.get("src") for element in root.iter("certificates")] == ["@raw/ca"]
    assert [element.get("cleartextTrafficPermitted") for element in root.iter("domain-config")] == ["false"]
    assert "`ca` is `res/raw/ca.pem`" in PAGE


def test_the_manifest_names_that_file():
    text = blocks()["AndroidManifest.xml"].replace(">", f' xmlns:android="{ANDROID[1:-1]}"/>', 1)
    found = ElementTree.fromstring(text)  # noqa: S314
    assert (found.tag, found.get(f"{ANDROID}networkSecurityConfig")) == (
        "application",
        "@xml/network_security_config",
    )
