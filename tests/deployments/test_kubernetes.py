"""examples/kubernetes, held against the API's schema and itself; test_containers runs it."""

import pytest

from tests.clients import needs, run
from tests.deployments.images import instructions
from tests.deployments.manifests import FOLDER, containers, manifest, manifests, pod
from tests.deployments.programs import blocks
from tests.deployments.settings import READ
from tests.server import LISTENERS

FILES = ("hatchery.yaml", "migrate.yaml", "client.yaml")
PORTS = dict(zip(LISTENERS, (8443, 8444, 8445, 8446, 8080), strict=True))


@pytest.mark.parametrize("version", ["1.26", "1.37"])
def test_the_api_takes_each_manifest(version):
    program = needs("kubernetes-validate", package="requirements-examples.txt", installer="pip install -r")
    judged = run(program, "--strict", "-k", version, *(FOLDER / name for name in FILES))
    assert judged.returncode == 0, (judged.stdout, judged.stderr)


def test_a_field_that_the_api_does_not_know_is_found(tmp_path):
    program = needs("kubernetes-validate", package="requirements-examples.txt", installer="pip install -r")
    broken = (FOLDER / "hatchery.yaml").read_text().replace("runAsNonRoot", "runAsNobody")
    (tmp_path / "broken.yaml").write_text(broken)
    assert run(program, "--strict", tmp_path / "broken.yaml").returncode != 0


def test_each_setting_is_one_that_hatchery_reads():
    names = set(manifest("ConfigMap")["data"])
    for kind in ("StatefulSet", "Job"):
        names |= {entry["name"] for each in containers(kind) for entry in each.get("env", ())}
    assert {"DATABASE_URL", "PORTAL_KEY_PASSPHRASE_FILE", "PORTAL_HOSTNAMES"} < names
    assert names <= READ


def test_services_lead_to_the_ports_of_the_listeners():
    (main,) = pod("StatefulSet")["containers"]
    ports = {port["name"]: port["containerPort"] for port in main["ports"]}
    assert ports == PORTS
    labels = manifest("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    served = {}
    for service in manifests("Service"):
        assert service["spec"]["selector"].items() <= labels.items()
        served |= {port["targetPort"]: port["port"] for port in service["spec"].get("ports", ())}
    assert served == PORTS
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert (
        manifest("PodDisruptionBudget")["spec"]["minAvailable"] < manifest("StatefulSet")["spec"]["replicas"]
    )
    # A job's pod is none that services lead to.
    job = manifest("Job")["spec"]["template"]["metadata"]["labels"]
    assert not labels.items() <= job.items()


def test_probes_ask_the_plain_listener_alone():
    (main,) = pod("StatefulSet")["containers"]
    probes = [main[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {(probe.get("httpGet") or probe["tcpSocket"])["port"] for probe in probes} == {"status"}


@pytest.mark.parametrize("kind", ["StatefulSet", "Job", "Pod"])
def test_no_pod_may_do_more_than_it_must(kind):
    spec = pod(kind)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in containers(kind):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(each["resources"]["limits"]) == {"memory"}
    if kind != "Pod":
        (user,) = (words for name, words in instructions(1) if name == "USER")
        context = spec["securityContext"]
        assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
        assert {each["image"] for each in containers(kind)} == {"hatchery"}


@pytest.mark.parametrize("kind", ["StatefulSet", "Job", "Pod"])
def test_what_is_mounted_is_there_and_secrets_are_those_that_the_readme_makes(kind):
    volumes = {volume["name"] for volume in pod(kind)["volumes"]}
    if kind == "StatefulSet":
        volumes |= {claim["metadata"]["name"] for claim in manifest(kind)["spec"]["volumeClaimTemplates"]}
    assert {mount["name"] for each in containers(kind) for mount in each["volumeMounts"]} == volumes
    readme = (FOLDER / "README.md").read_text()
    for each in containers(kind):
        for entry in each.get("env", ()):
            if "valueFrom" in entry:
                reference = entry["valueFrom"]["secretKeyRef"]
                assert reference["name"] == "hatchery"
                assert f"--from-file={reference['key']}" in readme
    for volume in pod(kind)["volumes"]:
        if "secret" in volume and kind != "Pod":
            assert f"create secret generic {volume['secret']['secretName']} " in readme


def test_the_readme_makes_the_secrets_and_a_passphrase_that_nobody_guesses(tmp_path):
    made = run("sh", "-euc", *blocks(FOLDER / "README.md", "sh"), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    files = {path.name: path for path in tmp_path.iterdir()}
    assert set(files) == {"key-passphrase", "secret-key", "database-url"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in files.values())
    assert len(files["key-passphrase"].read_text().strip()) >= 40
    assert len(files["secret-key"].read_text().strip()) >= 50
