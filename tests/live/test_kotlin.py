"""examples/kotlin, compiled as it stands, and run against a server on a JVM that plays Android's keystore."""

import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12

from pki.core import pins
from tests.clients import needs, needs_file
from tests.server import ROOT

EXAMPLE = ROOT / "examples" / "kotlin"
HARNESS = Path(__file__).with_name("kotlin")
COMPILER = HARNESS / "node_modules" / "kotlin-compiler" / "lib"
LIBRARIES = [Path("/usr/share/java") / f"{name}.jar" for name in ("okhttp", "okio")]
# Less work for a program that runs for seconds.
BRIEFLY = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def java(*words: object) -> str:
    program = needs("java", package="default-jdk-headless")
    done = subprocess.run([program, *BRIEFLY, *map(str, words)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def sources(folder: Path) -> list[Path]:
    """The example for OkHttp 3: two imports less, which OkHttp3.kt of the tests stands for."""
    copies = []
    for source in (*sorted(EXAMPLE.glob("*.kt")), *sorted(HARNESS.glob("*.kt"))):
        text = re.sub(r"^import okhttp3\.\w+\.Companion\.\w+\n", "", source.read_text(), flags=re.M)
        copies.append(folder / source.name)
        copies[-1].write_text(text)
    return copies


def lay_keys_ready(folder: Path, number: int) -> None:
    """What Android's keystore makes: keys, each with a certificate that it has signed itself."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Android Keystore Key")])
    now = datetime.now(UTC)
    for each in range(1, number + 1):
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        certificate = builder.sign(key, hashes.SHA256())
        (folder / f"{each}.p12").write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"key", key, certificate, None, BestAvailableEncryption(b"laid-ready")
            )
        )


def stranger(folder: Path) -> Path:
    """The root of somebody else."""
    lay_keys_ready(folder, 1)
    bundle = pkcs12.load_pkcs12((folder / "1.p12").read_bytes(), b"laid-ready")
    (folder / "stranger.pem").write_bytes(bundle.cert.certificate.public_bytes(Encoding.PEM))
    return folder / "stranger.pem"


def test_a_device_in_kotlin_enrolls_is_let_in_and_renews_and_trusts_nobody_else(server, tmp_path):
    """One walk, because the compiler is what costs."""
    stdlib = needs_file(
        COMPILER / "kotlin-stdlib.jar",
        package="tests/live/kotlin",
        installer="npm ci --ignore-scripts --prefix",
    )
    libraries = [needs_file(path, package="libokhttp-java") for path in LIBRARIES]
    path = os.pathsep.join(map(str, (stdlib, *libraries)))
    (tmp_path / "sources").mkdir()
    said = java(
        *("-cp", COMPILER / "kotlin-compiler.jar", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-Werror"),
        *(
            "-no-stdlib",
            "-no-reflect",
            "-cp",
            path,
            "-d",
            tmp_path / "classes",
            *sources(tmp_path / "sources"),
        ),
    )
    assert said == ""
    version = json.loads((HARNESS / "package.json").read_text())["dependencies"]["kotlin-compiler"]
    assert f"with Kotlin {version.rpartition('.')[0]} " in (EXAMPLE / "README.md").read_text()

    (tmp_path / "keys").mkdir()
    (tmp_path / "stranger").mkdir()
    lay_keys_ready(tmp_path / "keys", 3)
    root = x509.load_pem_x509_certificate((server.demo / "ca.pem").read_bytes())
    printed = java(
        *(f"-Dkeys={tmp_path / 'keys'}", "-cp", f"{tmp_path / 'classes'}{os.pathsep}{path}"),
        *("example.hatchery.WalkKt", server.url("provisioning", ""), server.url("secure", "")),
        *(server.demo / "ca.pem", "kotlin-phone", server.token("--device", "kotlin-phone")),
        *(pins.spki_pin(root.public_key()), stranger(tmp_path / "stranger")),
    )
    walk = dict(line.split(": ", 1) for line in printed.splitlines())

    assert walk["stranger"] == "SSLHandshakeException"
    assert walk["wrong pin"] == "SSLPeerUnverifiedException"
    assert walk["wrong token"].startswith("401 ")
    assert '"token_invalid"' in walk["wrong token"]
    assert walk["no certificate yet"] == "true"
    assert walk["anonymous"] in ("SSLHandshakeException", "SSLException", "SocketException")
    assert walk["enrolled"] == "kotlin.Unit"
    assert walk["with the key of the first try"] == "true"
    assert walk["chain"].startswith("CN=kotlin-phone < CN=Hatchery Issuing CA ")
    assert json.loads(walk["let in"])["message"] == "Hello kotlin-phone, mutual trust established"
    assert walk["again"] == "IllegalStateException"
    assert walk["renewed"] == "kotlin.Unit"
    assert walk["another key"] == "true"
    assert json.loads(walk["let in by the new one"])["client"] == "kotlin-phone"
    assert json.loads(walk["when"])["suggestedWindow"]["start"]
    assert '"name_mismatch"' in walk["somebody else"]
    assert len(walk) == 15
