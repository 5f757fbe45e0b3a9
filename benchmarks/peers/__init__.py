"""What others do the same work with: nginx with Lua, djangorestframework-api-key, fastify; and nginx asking the gate.

Their packages are installed once, into .peers; what is not here is left out, and said.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load import Target
from benchmarks.servers import CLIENT_CORE, Served

HERE = Path(__file__).resolve().parent
INSTALLED = HERE.parent.parent / ".peers"
LUA = Path("/usr/lib/nginx/modules/ngx_http_lua_module.so")

NGINX_LUA = "nginx with Lua"
DJANGO_API_KEY = "DRF API key, limit, row"
FASTIFY = "fastify and Redis"
NGINX_GATE = "nginx asking the gate"
NGINX_STATIC = "nginx asking a static 204"
GATE_BESIDE, STATIC_BESIDE = "gate beside nginx", "static 204 beside nginx"

Peer = tuple[Target, list[Served]]


def nginx_with_lua(directory: Path, ports: Iterator[int], *, keys: Path) -> Peer:
    """:raises LookupError: saying what is missing; so do the others."""
    if not shutil.which("nginx") or not LUA.exists():
        raise LookupError("nginx with its Lua module (Debian: nginx-light, libnginx-mod-http-lua)")
    return Target(NGINX_LUA, NGINX_LUA, keys), [_nginx(NGINX_LUA, "nginx_lua", directory, next(ports), keys=keys)]


def django_api_key(directory: Path, ports: Iterator[int], *, database: str, number: int) -> Peer:
    python = INSTALLED / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", INSTALLED / "venv"], check=True)  # noqa: S603 -- our own Python
        pip = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(HERE / "requirements.txt")]
        if subprocess.run(pip, check=False).returncode:  # noqa: S603 -- as above
            raise LookupError(f"what {HERE / 'requirements.txt'} names")
    keys, port = directory / "api_keys.txt", next(ports)
    environment = {"PEER_DATABASE": database}
    seeding = [str(python), str(HERE / "django_api_key.py"), "seed", str(number), str(keys)]
    subprocess.run(seeding, check=True, env={**os.environ, **environment})  # noqa: S603 -- as above
    command = [
        str(python), "-m", "granian", "--interface", "wsgi", "--workers", "1", "--blocking-threads", "2", "--no-log",
        "--no-ws", "--host", "127.0.0.1", "--port", str(port), "--working-dir", str(HERE), "django_api_key:application",
    ]  # fmt: skip
    target = Target(DJANGO_API_KEY, DJANGO_API_KEY, keys, scheme="Api-Key")
    return target, [Served(DJANGO_API_KEY, port, command, environment)]


def fastify_and_redis(ports: Iterator[int], *, keys: Path, redis: str) -> Peer:
    if not shutil.which("node") or not shutil.which("npm"):
        raise LookupError("node and npm")
    place = INSTALLED / "node"
    if not (place / "node_modules").exists():
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", place)
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
        if subprocess.run(npm, cwd=place, check=False).returncode:  # noqa: S603 -- as above
            raise LookupError(f"what {HERE / 'package.json'} names")
    shutil.copy(HERE / "fastify_redis.mjs", place)  # which looks for its packages beside itself
    port = next(ports)
    command = ["node", str(place / "fastify_redis.mjs"), str(port), str(keys), redis]
    return Target(FASTIFY, FASTIFY, keys), [Served(FASTIFY, port, command, {"NODE_ENV": "production"})]


def nginx_asking(directory: Path, ports: Iterator[int], *, keys: Path, environment: dict[str, str]) -> list[Peer]:
    """nginx on the servers' core, what it asks on the clients': a gate with a store of its own, or a static 204."""
    if not shutil.which("nginx"):
        raise LookupError("nginx")
    gate_port, static_port = next(ports), next(ports)
    gate = [sys.executable, "-m", "apikeys.gate", "--port", str(gate_port)]
    beside = Served(GATE_BESIDE, gate_port, gate, environment, core=CLIENT_CORE, stores=True)
    static = _nginx(STATIC_BESIDE, "nginx_static", directory, static_port, core=CLIENT_CORE)
    asking_gate = _nginx(NGINX_GATE, "nginx_asks", directory, next(ports), upstream=gate_port)
    asking_static = _nginx(NGINX_STATIC, "nginx_asks", directory, next(ports), upstream=static_port)
    return [
        (Target(NGINX_GATE, NGINX_GATE, keys), [beside, asking_gate]),
        (Target(NGINX_STATIC, NGINX_STATIC, keys), [static, asking_static]),
    ]


def _nginx(name: str, config: str, directory: Path, port: int, *, core: int = 0, **values: object) -> Served:
    place = _made(directory / f"{config}-{port}")
    text = (HERE / f"{config}.conf").read_text()
    for key, value in {"port": port, **values}.items():
        text = text.replace(f"{{{key}}}", str(value))
    (place / "nginx.conf").write_text(text)
    return Served(name, port, ["nginx", "-p", str(place), "-c", str(place / "nginx.conf")], core=core)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
