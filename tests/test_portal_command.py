"""`./portal`: the one command, in a checkout of its own whose locks ask for nothing."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_django import Settings

from keyportal import installation, processes

PORTAL = Path(__file__).resolve().parent.parent / "portal"
SAY_ARGUMENTS = "import sys; print(sys.argv[1:])"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that installs in no time."""
    _fill(tmp_path)
    return tmp_path


def _fill(directory: Path) -> None:
    shutil.copy(PORTAL, directory)
    for lock in ("requirements.txt", "requirements-dev.txt"):
        (directory / lock).write_text("# nothing\n")
    (directory / "manage.py").write_text(SAY_ARGUMENTS)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("template")
    _fill(directory)
    assert _portal(directory, "manage").returncode == 0
    return directory


@pytest.fixture
def installed(template: Path, tmp_path: Path) -> Path:
    """A checkout in which `./portal manage` has run already."""
    return Path(shutil.copytree(template, tmp_path / "installed", symlinks=True))


def _portal(checkout: Path, *arguments: str, python: str = sys.executable) -> "subprocess.CompletedProcess[str]":
    command = [python, str(checkout / "portal"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=checkout.parent)


def test_without_a_command_it_says_what_there_is(checkout: Path) -> None:
    answer = _portal(checkout)

    assert answer.returncode == 0
    assert "./portal up --demo" in answer.stdout
    assert not (checkout / ".venv").exists()


def test_an_unknown_command_is_wrong_usage(checkout: Path) -> None:
    answer = _portal(checkout, "deploy")

    assert answer.returncode == 2
    assert "no command 'deploy'" in answer.stderr


@pytest.mark.parametrize("options", [["--port", "0"], ["--port", "http"], ["--port", "8001"], ["--verbose"]])
def test_wrong_options_are_refused_before_anything_is_installed(checkout: Path, options: list[str]) -> None:
    answer = _portal(checkout, "up", *options)

    assert answer.returncode == 2
    assert not (checkout / ".venv").exists()


def test_it_installs_hands_over_and_the_second_time_only_hands_over(checkout: Path) -> None:
    first = _portal(checkout, "manage", "api_key", "show", "acme")
    second = _portal(checkout, "manage", "api_key", "show", "acme")

    assert first.stdout == second.stdout == "['api_key', 'show', 'acme']\n"
    assert "Installed" in first.stderr
    assert second.stderr == ""


def test_a_changed_lock_is_installed_again(installed: Path) -> None:
    (installed / "requirements.txt").write_text("# still nothing\n")

    answer = _portal(installed, "manage")

    assert "Bringing .venv up to date" in answer.stderr


def test_an_installation_that_was_cut_off_is_made_anew(installed: Path) -> None:
    (installed / ".venv" / "unfinished").touch()
    torn = installed / ".venv" / "lib" / "torn"
    torn.touch()

    answer = _portal(installed, "manage")

    assert answer.returncode == 0
    assert not torn.exists()


def test_of_two_at_once_one_installs_and_both_run(checkout: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: _portal(checkout, "manage", "x"), range(2)))

    assert [answer.stdout for answer in answers] == ["['x']\n"] * 2
    assert sum("Installing" in answer.stderr for answer in answers) == 1


def test_a_package_whose_hash_is_wrong_is_not_installed(installed: Path) -> None:
    (installed / "requirements.txt").write_text("honcho==2.0.0\n")

    answer = _portal(installed, "manage")

    assert answer.returncode == 1
    assert "Installing failed" in answer.stderr
    assert "retry" in answer.stderr


def test_an_older_python_is_told_so_in_one_line(checkout: Path) -> None:
    line = next(line for line in (checkout / "portal").read_text().splitlines() if "sys.version_info <" in line)
    too_new = (checkout / "portal").read_text().replace(line, "if True:")
    (checkout / "portal").write_text(too_new)

    answer = _portal(checkout, "up")

    assert answer.returncode == 1
    assert answer.stderr.startswith("KeyPortal needs Python 3.11 or newer; this is Python 3.")
    assert answer.stderr.count("\n") == 1


# --- up -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port on which somebody listens as the web server does, ready to share it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_busy_port_is_refused_before_anything_is_made(
    busy_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))

    status = processes.main(busy_port, busy_port + 1, demo=False)

    assert status == 1
    assert f"Port {busy_port} cannot be used" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_the_first_run_makes_secrets_that_only_the_owner_reads(tmp_path: Path) -> None:
    installation.prepare(tmp_path / "data", demo=False, environment={})

    kept = tmp_path / "data" / ".env"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    names = [line.partition("=")[0] for line in kept.read_text().splitlines()]
    assert names == ["SECRET_KEY", "KEY_ENCRYPTION_KEYS", "DIGEST_PEPPERS"]


def test_later_runs_keep_the_secrets(tmp_path: Path) -> None:
    installation.prepare(tmp_path, demo=False, environment={})
    made = (tmp_path / ".env").read_text()

    installation.prepare(tmp_path, demo=False, environment={})

    assert (tmp_path / ".env").read_text() == made
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_what_the_environment_sets_is_not_made_again(tmp_path: Path) -> None:
    installation.prepare(tmp_path, demo=False, environment={"SECRET_KEY": "set"})

    assert "SECRET_KEY" not in (tmp_path / ".env").read_text()


def test_the_demonstrations_password_is_known_after_the_environment_forgot_it(tmp_path: Path) -> None:
    installation.prepare(tmp_path, demo=True, environment={"DEMO_PASSWORD": "set"})

    assert "DEMO_PASSWORD=set\n" in (tmp_path / ".env").read_text()


def test_a_database_without_its_keys_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keyportal.sqlite3").touch()

    with pytest.raises(installation.InstallationError, match=r"Put the \.env back"):
        installation.prepare(tmp_path, demo=False, environment={})

    assert not (tmp_path / ".env").exists()


def test_a_directory_in_use_is_not_turned_into_a_demonstration(tmp_path: Path) -> None:
    installation.prepare(tmp_path, demo=False, environment={})

    with pytest.raises(installation.InstallationError, match="The demonstration needs an empty one"):
        installation.prepare(tmp_path, demo=True, environment={})


def test_a_demonstration_stays_one(tmp_path: Path) -> None:
    installation.prepare(tmp_path, demo=True, environment={})

    assert installation.prepare(tmp_path, demo=False, environment={})


def test_what_env_says_wins_over_the_defaults_of_up_and_a_mistake_in_it_is_one_line(tmp_path: Path) -> None:
    installation.prepare(tmp_path, demo=False, environment={"DIGEST_PEPPERS": ""})
    with (tmp_path / ".env").open("a") as kept:
        kept.write("SITE_ORIGIN=https://portal.example.com\nDIGEST_PEPPERS=p1\n")
    says = (
        "import os; from keyportal import processes; "
        "processes.main(18001, 18002, demo=False); print(os.environ['SITE_ORIGIN'])"
    )
    variables = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}

    answer = subprocess.run(
        [sys.executable, "-c", says], env=variables, capture_output=True, text=True, check=False, cwd=PORTAL.parent
    )

    assert answer.stdout == "https://portal.example.com\n"
    assert answer.stderr == "./portal up: DIGEST_PEPPERS: each item is id:base64 of 32 bytes, newest first.\n"


@pytest.mark.parametrize("listen", [[], ["udp://127.0.0.1:8002"]])
def test_the_collector_runs_where_it_is_told_to_listen(listen: list[str], settings: Settings) -> None:
    settings.ACCESS_LOG_LISTEN = listen

    assert ("collector" in processes.commands(18001, 18002)) == bool(listen)


# --- Wrong settings -----------------------------------------------------------------------------------------------
def _up(data: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """`./portal up` that is expected to refuse before it starts anything."""
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(data)} | variables
    command = [sys.executable, "-m", "keyportal.processes", *map(str, _free_ports())]
    return subprocess.run(
        command, cwd=PORTAL.parent, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("SITE_ORIGIN", "http://portal.example.com", "plain http"),
        ("SITE_ORIGIN", "portal.example.com", "not an origin such as https://"),
        ("SITE_ORIGIN", "https://portal.example.com/keys", "not an origin such as https://"),
        ("SITE_ORIGIN", "https://portal.example.com:99999", "not an origin such as https://"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "has host bits set"),
        ("METRICS_ALLOW", "nonsense", "does not appear to be an IPv4 or IPv6 network"),
        ("KEY_ENCRYPTION_KEYS", "k1:short", "id:base64 of 32 bytes"),
        ("API_SPEC", "/nowhere/openapi.yaml", "cannot be read: No such file"),
        ("API_UNKNOWN_ROUTES", "deny", "'deny', not allow or refuse"),
        ("API_UNKNOWN_ROUTES", "refuse", "API_SPEC does not say which routes are known"),
    ],
)
def test_up_refuses_a_wrong_setting_in_one_line(tmp_path: Path, variable: str, value: str, complaint: str) -> None:
    refused = _up(tmp_path, **{variable: value})

    assert refused.returncode == 1
    assert refused.stderr.startswith("./portal up: ")
    assert variable in refused.stderr
    assert complaint in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_file_in_the_place_of_the_data_directory_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    refused = _up(tmp_path / "file")

    assert refused.stderr == f"./portal up: {tmp_path / 'file'} is a file. Choose a directory: --data DIR.\n"


def test_one_data_directory_holds_one_running_portal(tmp_path: Path) -> None:
    with installation.hold(tmp_path):
        refused = _up(tmp_path)

    assert refused.returncode == 1
    assert f"A portal runs in {tmp_path} already." in refused.stderr
    assert not (tmp_path / ".env").exists()


def test_a_command_without_an_installation_says_so_in_one_line(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "manage.py", "api_key", "show", "acme"]

    refused = subprocess.run(command, cwd=PORTAL.parent, env=environment, capture_output=True, text=True, check=False)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"manage.py: {tmp_path} holds no installation")
    assert refused.stderr.count("\n") == 1


def test_a_new_data_directory_cannot_take_another_installations_database(tmp_path: Path) -> None:
    installation.prepare(tmp_path / "one", demo=False, environment={})
    variables = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "one")}
    for words in (["migrate", "--verbosity", "0"], ["seed_keys", "1", "--file", str(tmp_path / "secrets")]):
        subprocess.run([sys.executable, "manage.py", *words], cwd=PORTAL.parent, env=variables, check=True)

    refused = _up(tmp_path / "two", DATABASE_URL=f"sqlite:///{tmp_path}/one/{installation.DATABASE}")

    assert refused.returncode == 1
    assert "API keys that were made with another KEY_ENCRYPTION_KEYS" in refused.stderr
    assert refused.stderr.count("\n") == 1
