"""`./portal up`: set up, then run web, gate and jobs side by side in one terminal.

With ACCESS_LOG_LISTEN set, what collects the gateways' access logs runs beside them.

Called as `python -m keyportal.processes PORT GATE_PORT [--demo]`; DATA_DIR is in the environment.
"""

import contextlib
import hashlib
import multiprocessing
import os
import shlex
import signal
import socket
import sys
import time
from pathlib import Path

from django.contrib.staticfiles.finders import get_finders
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError, connections
from environ import Env
from honcho import manager as honcho

from keyportal import installation

HOST = "127.0.0.1"
WEB_THREADS = 12  # a rotation holds one for a second
STOP_SECONDS = 4.5  # then the rest is killed, so that Ctrl-C takes no longer than five

BANNER = """
  KeyPortal is running{demo}

    Portal   {site}/
    Gate     http://{host}:{gate_port}/check
    Data     {data}

{entrance}
  Ctrl-C stops everything.
"""
SIGN_IN = """\
  Sign in with the password  {password}

    superadmin@acme.example    the key of Acme, to show, rotate and deactivate
    developer@acme.example     the calls; not the key
    auditor@acme.example       both logs; no secret
    superadmin@globex.example  no key yet
    superadmin@initech.example a deactivated key that callers still use
    operator@portal.example    the operator: {site}/admin/
"""
SET_UP = """\
  Make the first account with this link. It works once:

    {link}
"""


def main(port: int, gate_port: int, *, demo: bool) -> int:
    directory = Path(os.environ["DATA_DIR"])
    with contextlib.ExitStack() as while_it_runs:
        try:
            for each in (port, gate_port):
                refuse_busy(each)
            while_it_runs.enter_context(installation.hold(directory))
            is_demo = installation.prepare(directory, demo=demo, environment=os.environ)
            Env.read_env(directory / ".env")
            for name, value in defaults(port).items():
                os.environ.setdefault(name, value)
            entrance = set_up(directory, demo=is_demo)
        except (installation.InstallationError, ImproperlyConfigured, OperationalError, OSError) as refusal:
            print(f"./portal up: {refusal}", file=sys.stderr)
            return 1
        connections.close_all()
        return run(port, gate_port, entrance)


def defaults(port: int) -> dict[str, str]:
    """What holds unless the environment or `.env` says otherwise."""
    return {
        "DJANGO_SETTINGS_MODULE": "keyportal.settings",
        "SITE_ORIGIN": f"http://{HOST}:{port}",
        "LOG_FORMAT": "console",
        "LOG_LEVEL": "WARNING",
    }


def refuse_busy(port: int) -> None:
    """Find out before anything starts: the web server shares a port without a word (SO_REUSEPORT).

    :raises OSError: if somebody listens there, or may not.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as failure:
            raise OSError(
                f"Port {port} cannot be used ({failure.strerror}). Choose --port and --gate-port."
            ) from failure


# --- Set-up -------------------------------------------------------------------------------------------------------
def set_up(directory: Path, *, demo: bool) -> str:
    """Bring database and static files up to date; returns what to print about getting in.

    :raises installation.InstallationError: if a check fails, the database is another installation's, or a
        demonstration would fill one that is in use.
    """
    import django  # noqa: PLC0415 -- the settings can be read only now that .env is there

    django.setup()
    from django.conf import settings  # noqa: PLC0415 -- likewise

    from accounts import setup  # noqa: PLC0415 -- likewise
    from apikeys import demonstration, key_rings  # noqa: PLC0415 -- likewise

    refuse_failed_checks()
    refuse_broken_document()
    try:
        key_rings.refuse_foreign_store()
    except key_rings.ForeignStoreError as refusal:
        where = directory / ".env"
        raise installation.InstallationError(f"{refusal} Put that installation's into {where}.") from refusal
    (directory / "site-origin").write_text(settings.SITE_ORIGIN)
    call_command("migrate", verbosity=0, interactive=False)
    collect_static_files(directory)
    if demo:
        try:
            demonstration.fill(password=settings.DEMO_PASSWORD)
        except demonstration.InUseError as refusal:
            raise installation.InstallationError(str(refusal)) from refusal
        return SIGN_IN.format(password=settings.DEMO_PASSWORD, site=settings.SITE_ORIGIN)
    link = setup.link()
    return SET_UP.format(link=link) if link else ""


def refuse_failed_checks() -> None:
    """:raises installation.InstallationError: for what an installation must not run with."""
    failed = [message for message in checks.run_checks() if message.is_serious()]
    if failed:
        sentences = (f"{message.msg} {message.hint}" if message.hint else message.msg for message in failed)
        raise installation.InstallationError(" ".join(sentences))


def refuse_broken_document() -> None:
    """:raises installation.InstallationError: if API_SPEC is not a document that the gate could go by."""
    from apikeys.api_document import ApiDocumentError  # noqa: PLC0415 -- needs the settings
    from apikeys.gate.protected_api import ProtectedApi  # noqa: PLC0415 -- likewise

    try:
        ProtectedApi()
    except ApiDocumentError as refusal:
        raise installation.InstallationError(f"API_SPEC: {refusal}") from None


def collect_static_files(directory: Path) -> None:
    """Collecting compresses every file, which takes seconds: only when one has changed."""
    stamp = directory / "static-files"
    now = _static_files_fingerprint()
    if stamp.exists() and stamp.read_text() == now:
        return
    print("Preparing style sheets and scripts", file=sys.stderr)
    call_command("collectstatic", verbosity=0, interactive=False)
    stamp.write_text(now)


def _static_files_fingerprint() -> str:
    digest = hashlib.sha256(str(Path.cwd()).encode())
    for finder in get_finders():
        for path, storage in sorted(finder.list([]), key=lambda found: str(found[0])):
            state = Path(storage.path(path)).stat()
            digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


# --- Running ------------------------------------------------------------------------------------------------------
def commands(port: int, gate_port: int) -> dict[str, str]:
    """What runs side by side, each as the module and arguments that Python is started with."""
    from django.conf import settings  # noqa: PLC0415 -- set up by now

    collector = {"collector": "django collect_access_log"} if settings.ACCESS_LOG_LISTEN else {}
    return collector | {
        "web": f"granian --interface wsgi --host {HOST} --port {port} --blocking-threads {WEB_THREADS}"
        " --log-level error --workers-kill-timeout 3 keyportal.wsgi:application",
        "gate": f"apikeys.gate --host {HOST} --port {gate_port}",
        "jobs": "celery --app keyportal --quiet worker --beat --pool threads --concurrency 4 --loglevel WARNING"
        " --without-gossip --without-mingle --without-heartbeat",
    }


def run(port: int, gate_port: int, entrance: str) -> int:
    """Run them until one ends or somebody stops them; the exit status."""
    honcho.KILL_WAIT = STOP_SECONDS
    python = shlex.quote(sys.executable)
    processes = honcho.Manager(honcho.Printer(Output()))
    for name, command in commands(port, gate_port).items():
        processes.add_process(name, f"exec {python} -m {command}", env={**os.environ, "PYTHONUNBUFFERED": "1"})
    announcer = multiprocessing.Process(target=announce, args=(port, gate_port, entrance), daemon=True)
    announcer.start()
    signal.signal(signal.SIGHUP, stop_unheard)
    processes.loop()
    announcer.terminate()
    if processes.returncode in {rc["rc"] for rc in honcho.SIGNALS.values()}:
        print("\nStopped.", file=sys.stderr)
        return 0
    print("\nOne part ended by itself, so the others were stopped. Its last lines are above.", file=sys.stderr)
    return 1


class Output:
    """Standard output until nobody reads it any more: `./portal up | head`, or the `tee` that Ctrl-C ends first.

    An error there, in the middle of stopping, would leave those parts running that were not told yet.
    """

    def write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            stop_unheard()

    def flush(self) -> None:
        """Each write does."""

    def isatty(self) -> bool:
        return sys.stdout.isatty()


def stop_unheard(*_: object) -> None:
    """Nobody listens any more: stop as by Ctrl-C, without a place to say so."""
    mute()
    os.kill(os.getpid(), signal.SIGTERM)


def mute() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (sys.stdout, sys.stderr):
        os.dup2(nowhere, output.fileno())


def announce(port: int, gate_port: int, entrance: str) -> None:
    """Say where the portal is once both doors are open."""
    from django.conf import settings  # noqa: PLC0415 -- set up by now

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the manager ends this one
    while not (_answers(port) and _answers(gate_port)):
        time.sleep(0.1)
    demo = " (demonstration: the data is made up)" if settings.DEMO else ""
    facts = {"site": settings.SITE_ORIGIN, "host": HOST, "gate_port": gate_port, "data": settings.DATA_DIR}
    print(BANNER.format(demo=demo, entrance=entrance, **facts), flush=True)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    os.umask(
        0o077
    )  # what is written beside the secrets is the owner's alone, also where the directory was there before
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), demo="--demo" in sys.argv[3:]))
