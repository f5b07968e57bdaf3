"""Every block of shell on a page is typed by some test, and this is the list of which.

A block of `sh` is run. One of `console` is not, and the paragraph above it says why.
"""

import re
import shlex

import pytest
from django.core.management import get_commands, load_command_class

from tests.clients import run
from tests.docs.blocks import blocks, commands, pages, spans
from tests.server import ROOT

LIVE, SHELL, PROXIES = "tests/live", "tests/shell", "tests/proxies"
WALK = f"{LIVE}/test_walk.py::test_the_walk_works_as_printed"
TYPED = f"{SHELL}/test_typed.py::test_the_lines_of_a_page_work_as_written"
BUNDLE = f"{LIVE}/test_topologies.py::test_the_servers_move_to_a_new_root_without_a_restart"
ASKING = f"{PROXIES}/test_asking.py::test_a_good_device_passes_and_the_application_sees_who_it_is"
BEHIND = f"{PROXIES}/test_behind.py::test_a_device_is_greeted_as_on_the_listener_itself"
DIAGNOSED = f"{LIVE}/test_diagnose.py::test_the_commands_of_the_pages_end_as_they_say"
README = "tests/examples/test_readmes.py::test_each_line_of_the_readme_does_what_it_says"
DEPLOYED = "tests/deployments"
CRL_ONLY = (
    f"{PROXIES}/test_crl_only.py::test_a_good_device_passes_and_the_application_sees_its_certificates_names"
)

BY_SOCKET = f"{PROXIES}/test_crl_only.py::test_haproxy_takes_a_list_through_its_socket_without_a_reload"

# Page → how a block of it begins → the test that types it. An empty beginning stands for all of the page.
CLAIMS = {
    "README.md": {
        "make serve": "tests/docs/test_commands.py::test_the_two_commands_of_the_readme_do_what_it_says",
        "cd var/demo": WALK,
        "openssl ecparam": WALK,
        ".venv/bin/python manage.py revoke": TYPED,
        ".venv/bin/python manage.py diagnose": DIAGNOSED,
        ".venv/bin/python manage.py issue_token": TYPED,
    },
    "docs/audit.md": {"": f"{SHELL}/test_audit.py::test_the_lines_of_the_page_prove_the_trail"},
    "docs/backup.md": {"": f"{LIVE}/test_backup_page.py::test_the_lines_of_the_page_work_as_written"},
    "docs/bundles.md": {
        "": f"{LIVE}/test_bundles_page.py::"
        "test_the_shell_lines_of_the_page_print_what_it_says_and_no_password_is_logged"
    },
    "docs/campaigns.md": {"": TYPED},
    "docs/concepts/files.md": {"": f"{LIVE}/test_typed_pages.py::test_the_files_are_what_the_page_says"},
    "docs/diagnose.md": {"": DIAGNOSED},
    "docs/monitoring.md": {
        "": "tests/live/test_monitoring.py::test_the_lines_of_the_page_print_what_it_says",
    },
    "docs/moving-in.md": {"": f"{LIVE}/test_moving_in.py::test_the_devices_go_on_and_the_next_one_enrolls"},
    "docs/notices.md": {
        "KEY=": "tests/services/test_notices_page.py::test_the_lines_of_shell_verify_it_and_nothing_else",
        ".venv/bin/python manage.py maintain": TYPED,
    },
    "docs/postgresql.md": {
        "make test-postgres": "tests/docs/test_commands.py::test_the_tests_run_on_postgresql_as_the_page_says"
    },
    "docs/operating.md": {
        "python3 -m venv": f"{LIVE}/test_typed_pages.py::test_gunicorn_serves_as_in_production",
        "curl -fsS": f"{LIVE}/test_typed_pages.py::test_health_is_what_the_page_says",
        "rsync": f"{LIVE}/test_nodes.py::test_a_second_node_makes_nothing_anew",
        ".venv/bin/python manage.py revoke": TYPED,
        ".venv/bin/python manage.py unlock": TYPED,
    },
    "docs/renewal.md": {
        "": f"{LIVE}/test_renewal_page.py::test_the_shell_lines_of_the_page_print_what_it_says"
    },
    "docs/rollover.md": {"for root in": BUNDLE},
    "docs/status.md": {
        "": f"{LIVE}/test_status_page.py::test_the_shell_lines_of_the_page_print_what_it_says"
    },
    "docs/supply-chain.md": {
        "": "tests/docs/test_commands.py::test_the_lines_on_the_supply_chain_come_to_what_they_say"
    },
    "docs/topologies.md": {"": f"{LIVE}/test_topologies.py::test_the_page_prints_what_it_says"},
    "examples/README.md": {"": f"{LIVE}/test_typed_pages.py::test_a_proxys_files_are_made_as_the_page_says"},
    "examples/agent/README.md": {
        "": f"{LIVE}/test_typed_pages.py::test_the_agent_is_set_up_as_its_page_says"
    },
    "examples/curl/README.md": {"": README},
    "examples/openssl/README.md": {"": README},
    "examples/python/README.md": {"": README},
    "examples/node/README.md": {"": README},
    "examples/go/README.md": {"": README},
    "examples/java/README.md": {"": README},
    "examples/docker/README.md": {
        "": f"{DEPLOYED}/test_docker.py::test_compose_keeps_secrets_in_files_and_containers_small"
    },
    "examples/kubernetes/README.md": {
        "": f"{DEPLOYED}/test_kubernetes.py::"
        "test_the_readme_makes_the_secrets_and_a_passphrase_that_nobody_guesses"
    },
    "examples/systemd/README.md": {
        "cd /srv": f"{DEPLOYED}/test_systemd.py::test_systemd_finds_no_fault_in_what_the_readme_installs",
        "hatchery-manage": f"{DEPLOYED}/test_systemd.py::"
        "test_the_services_lines_serve_each_listener_by_itself_over_one_folder",
        "systemd-analyze": f"{DEPLOYED}/test_systemd.py::"
        "test_each_service_is_confined_as_far_as_the_readme_says",
    },
    "examples/crl/README.md": {
        "": f"{LIVE}/test_typed_pages.py::test_a_proxys_files_are_made_as_the_page_says"
    },
    "examples/nginx/README.md": {
        "cp ask-hatchery": ASKING,
        "cp hatchery-behind": BEHIND,
        "cp crl-only": CRL_ONLY,
    },
    "examples/haproxy/README.md": {
        "cp ask-hatchery": ASKING,
        "cp hatchery-behind": BEHIND,
        "cp nodes": f"{LIVE}/test_balanced_nodes.py::test_the_lines_of_the_example_are_right",
        "printf": BY_SOCKET,
    },
    "examples/traefik/README.md": {"cp ask-hatchery": ASKING, "cp hatchery-behind": BEHIND},
    "examples/envoy/README.md": {"cp ask-hatchery": ASKING, "cp hatchery-behind": BEHIND},
}
PAGES = [page for page in pages() if list(blocks(page, "sh", "bash"))]


@pytest.mark.parametrize("path", PAGES)
def test_every_block_of_shell_is_claimed_by_one_test(path):
    claims = CLAIMS.get(path, {})
    for block in blocks(path, "sh", "bash"):
        claimed = [beginning for beginning in claims if block.text.startswith(beginning)]
        assert len(claimed) == 1, f"{path}:{block.line} is typed by {len(claimed)} tests; see CLAIMS"


@pytest.mark.parametrize("path", CLAIMS)
def test_every_claim_is_of_a_block_that_is_there(path):
    texts = [block.text for block in blocks(path, "sh", "bash")]
    assert not [begin for begin in CLAIMS[path] if not any(text.startswith(begin) for text in texts)]


@pytest.mark.parametrize("test", sorted({test for claims in CLAIMS.values() for test in claims.values()}))
def test_every_claim_names_a_test_that_is_there(test):
    module, _, function = test.partition("::")
    assert re.search(rf"^def {function}\(", (ROOT / module).read_text(), re.M)


@pytest.mark.parametrize("path", [page for page in pages() if list(blocks(page, "console"))])
def test_above_what_no_test_types_it_says_so(path):
    for block in blocks(path, "console"):
        assert "no test" in block.before.lower(), f"{path}:{block.line}: say why no test types this"


@pytest.mark.parametrize("path", [page for page in pages() if list(blocks(page, "sh", "console"))])
def test_every_management_command_on_a_page_is_understood(path):
    """Whatever types it, its words are those of today."""
    for block in blocks(path, "sh", "bash", "console"):
        for line in commands(block.text):
            for name, *arguments in managed(line):
                command = load_command_class(get_commands()[name], name)
                command.create_parser("manage.py", name).parse_args(arguments)


@pytest.mark.parametrize(
    "path", [page for page in pages() if any("manage.py" in line for line in spans(page))]
)
def test_every_management_command_in_a_sentence_is_understood(path):
    for line in (each for each in spans(path) if "manage.py " in each and "COMMAND" not in each):
        for name, *arguments in managed(line):
            parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
            if arguments and arguments[-1].startswith("--"):  # it is about this option, whatever its value
                assert arguments[-1] in parser.format_help()
            elif arguments:
                parser.parse_args(arguments)


def managed(line):
    """The words after each `manage.py` of a line, as far as a shell hands them to it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found, reading = [], False
    for word in lexer:
        if word.endswith("manage.py"):
            found.append([])
            reading = True
        elif set(word) <= set("();<>|&"):
            reading = False
        elif reading:
            found[-1].append(word)
    return found


def test_the_two_commands_of_the_readme_do_what_it_says():
    """What they come to is what each live test starts, and what runs this one."""
    for target, comes_to in (("serve", "manage.py serve"), ("test", "-m pytest")):
        done = run("make", "--no-print-directory", "--dry-run", "--always-make", target, cwd=ROOT)
        assert done.returncode == 0
        assert comes_to in done.stdout.decode().splitlines()[-1]


def test_the_tests_run_on_postgresql_as_the_page_says():
    """What its lines come to is what each run on PostgreSQL starts."""
    (block,) = (
        each for each in blocks("docs/postgresql.md", "sh") if each.text.startswith("make test-postgres")
    )
    for line in commands(block.text):
        words = [word for word in shlex.split(line, comments=True) if word != "make"]
        done = run("make", "--no-print-directory", "--dry-run", "--always-make", *words, cwd=ROOT)
        assert done.returncode == 0
        comes_to = done.stdout.decode().replace("\\\n", " ").split()
        assert "tests.postgres" in comes_to
        assert comes_to[-2:] == (
            ["tests/models", "tests/shell"] if len(words) > 1 else ["--dist", "loadgroup"]
        )


def test_the_lines_on_the_supply_chain_come_to_what_they_say():
    """What they come to is tested in tests/shell, but for the network that `make pins` asks."""
    for line in (line for block in blocks("docs/supply-chain.md", "sh") for line in commands(block.text)):
        _, target, *given = shlex.split(line, comments=True)
        done = run("make", "--no-print-directory", "--dry-run", "--always-make", target, *given, cwd=ROOT)
        assert done.returncode == 0
        *_, last = done.stdout.decode().splitlines()
        comes_to = {
            "pins": "uv pip compile",
            "advisories": "requirements.advisories",
            "sbom": "requirements.sbom",
        }
        assert comes_to[target] in last
        assert all(words.partition("=")[2] in last for words in given)
