"""Every way that a secret can be sent, rightly and by mistake."""

import base64
import http.client
import json
from urllib.parse import quote, urlencode

from django.db import connection

from apikeys import secrets
from tests.factories import PASSWORD

Headers = dict[str, str]


class Caller:
    """Sends requests as they are, keeps a browser's cookies, and remembers every answer."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, bytes] = {}  # by what was asked
        self.cookies: dict[str, str] = {}

    def send(self, method: str, target: str, headers: Headers | None = None, body: str = "") -> tuple[int, str]:
        connected = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        connected.request(method, target, body.encode() or None, cookies | (headers or {}))
        answer = connected.getresponse()
        text = answer.read().decode()
        connected.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        self.answers[f"{len(self.answers)}: {method} {target} {headers} {body}"] = f"{answer.headers}\n{text}".encode()
        return answer.status, text

    def post(self, target: str, **fields: str) -> tuple[int, str]:
        fields["csrfmiddlewaretoken"] = self.cookies.get("csrftoken", "")
        form = {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"http://127.0.0.1:{self.port}/"}
        return self.send("POST", target, form, urlencode(fields))

    def sign_in(self, email: str) -> None:
        self.send("GET", "/auth/login/")
        status, page = self.post("/auth/login/", login=email, password=PASSWORD)
        assert status == 302, page


def headers_with(canary: str) -> list[Headers]:
    malformed = [f"{canary}x", canary[:-1], canary.upper(), f"{canary} {canary}", f" {canary}\t", f"{canary}%0a"]
    basic = [base64.b64encode(text.encode()).decode() for text in (canary, f"{canary}:", f"api:{canary}")]
    return [
        {"Authorization": f"Bearer {canary}"},
        {"X-API-Key": canary},
        {"Authorization": f"Bearer {canary}", "X-API-Key": secrets.generate(secrets.Kind.API_KEY)},
        *({"Authorization": f"Bearer {text}"} for text in malformed),
        *({"X-API-Key": text} for text in malformed),
        *({"Authorization": f"Basic {text}"} for text in basic),
        {"Authorization": canary},
        {"Authorization": f"Token {canary}"},
        {"User-Agent": f"curl/8 ({canary})"},
        {"User-Agent": canary},
        {"Referer": f"http://127.0.0.1/?hapikey={canary}"},
        {"Origin": f"http://{canary}.example"},
        {"Host": canary},
        {"Cookie": f"hapikey={canary}; sessionid={canary}; csrftoken={canary}"},
        {"X-Request-Id": canary},
        {"X-Forwarded-For": canary},
        {"Forwarded": f"for={canary}"},
        {"Content-Encoding": canary},
        {"Accept-Language": canary},
        {"HX-Request": "true", "HX-Current-URL": f"/?next={canary}"},
    ]


def queries_with(canary: str) -> list[str]:
    hidden = "".join(f"%{ord(letter):02x}" for letter in canary)
    return [
        f"hapikey={canary}",
        f"HAPIKEY={canary}",
        f"%68apikey={hidden}",
        f"hapikey={canary}&hapikey={canary}x",
        f"api_key={canary}",
        f"next=/accounts/?hapikey={canary}",
        f"next={quote(f'//evil.example/{canary}', safe='')}",
        f"path={canary}&agent={hidden}&cursor={canary}",
        f"{canary}",
        f"{canary}={canary}",
    ]


def paths_with(canary: str) -> list[str]:
    hidden = "".join(f"%{ord(letter):02x}" for letter in canary)
    return [
        f"/{canary}",
        f"/{hidden}",
        f"/integrations/v1/me/{canary}",
        f"/integrations/v1/{hidden}",
        f"/account-info/v3/{canary}/details",
        f"/accounts/{canary}/api-key/",
        f"/set-up/{canary}/",
        f"/static/{canary}.js",
        f"/auth/password/reset/key/1-{canary}/",
        f"/admin/{canary}/",
    ]


def call_by_every_way(caller: Caller, canary: str, paths: list[str]) -> None:
    """The API or the gate, or any page of the portal, signed in or not."""
    for path in paths:
        for headers in headers_with(canary):
            caller.send("GET", path, headers)
        for query in queries_with(canary):
            caller.send("GET", f"{path}?{query}")
    for path in paths_with(canary):
        caller.send("GET", path)
        caller.send("GET", path, {"Authorization": f"Bearer {canary}"})
        caller.send("POST", path, {"X-API-Key": canary})
    for method in ("POST", "DELETE", "TRACE", canary):
        caller.send(method, paths[0], {"X-API-Key": canary})
    as_json = json.dumps({"api_key": canary, "hapikey": canary})
    caller.send("POST", paths[0], {"Content-Type": "application/json"}, as_json)
    caller.send("POST", paths[0], {"Content-Type": "application/json", "X-API-Key": canary}, as_json)
    caller.post(paths[0], hapikey=canary)


def use_pages_by_mistake(caller: Caller, canary: str, slug: str) -> None:
    below = f"/accounts/{slug}"
    for page in ("api-key", "calls", "audit-log", "members"):
        for query in queries_with(canary):
            caller.send("GET", f"{below}/{page}/?{query}")
    caller.send("GET", f"{below}/audit-log/", {"User-Agent": f"browser {canary}"})
    caller.post(f"{below}/api-key/deactivate/", generation=canary)
    caller.post(f"{below}/api-key/rotate/", generation=canary, next=f"/{canary}")
    caller.post("/profile/", name=canary, time_zone=canary)
    caller.post("/profile/", name=canary, language="en", time_zone="UTC")
    caller.post(f"{below}/members/invite/", email=f"{canary}@acme.example", role="member")
    caller.post("/theme/", theme=canary, next=f"/?hapikey={canary}")


def fill_forms_by_mistake(caller: Caller, canary: str) -> None:
    caller.send("GET", "/auth/login/")
    caller.post("/auth/login/", login=canary, password=canary, next=f"/?hapikey={canary}")
    caller.post("/auth/login/", login=f"{canary}@acme.example", password=PASSWORD)
    caller.post("/auth/password/reset/", email=f"{canary}@acme.example")
    caller.post("/auth/reauthenticate/", password=canary)


def show(caller: Caller, slug: str, user_agent: str) -> str:
    """Click "show", as script does; this answer alone may hold the secret and is not searched."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "Referer": f"http://127.0.0.1:{caller.port}/",
        "User-Agent": user_agent,
    }
    form = urlencode({"csrfmiddlewaretoken": caller.cookies["csrftoken"]})
    status, text = caller.send("POST", f"/accounts/{slug}/api-key/show/", headers, form)
    caller.answers.popitem()
    assert status == 200, text
    secret: str = json.loads(text)["secret"]
    return secret


def break_the_store(caller: Caller, canary: str, slug: str) -> None:
    """Provoke failures, with the canary under way."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE apikeys_apikey RENAME TO apikeys_apikey_gone")
    try:
        caller.send("GET", "/integrations/v1/me", {"Authorization": f"Bearer {canary}"})
        caller.send("GET", f"/integrations/v1/{canary}?hapikey={canary}")
        status, _ = caller.send("GET", f"/accounts/{slug}/api-key/?hapikey={canary}", {"User-Agent": canary})
        assert status == 500  # what is wanted here: a traceback in the log
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE apikeys_apikey_gone RENAME TO apikeys_apikey")
