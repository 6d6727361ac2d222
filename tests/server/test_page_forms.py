"""Forms of the page are taken from pages of this very server only, and lead somewhere sensible."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FORMS = (
    "/install",
    "/rescan",
    "/plugins/my-plugin/disable",
    "/plugins/my-plugin/enable",
    "/plugins/my-plugin/uninstall",
    "/logout",
)


def post(client: Any, path: str, fields: Mapping[str, str], **headers: str) -> Any:
    return client.request("POST", path, urlencode(fields), {**FORM, **headers})


def form_token(client: Any, **headers: str) -> str:
    return found(r'name="form_token" value="([^"]+)"', client.request("GET", "/", headers=headers).body)


def found(pattern: str, page: bytes) -> str:
    """Return what the group of *pattern* matches in a page."""
    match = re.search(pattern, page.decode())
    assert match is not None
    return match[1]


def leads_to(reply: Any) -> str:
    assert 303 == reply.status
    return str(reply.headers["Location"])


@pytest.mark.parametrize(
    "token", [{}, {"form_token": ""}, {"form_token": "guess\u00e9"}], ids=["none", "empty", "wrong"]
)
def test_forms_without_the_secret_are_refused(
    token: Mapping[str, str], client: Any, plugins_dir: Path, make_plugin: Callable[..., Path]
) -> None:
    folder = make_plugin(into=plugins_dir)

    replies = [post(client, path, {"source": "/x", **token}) for path in FORMS]

    assert [403] * len(FORMS) == [reply.status for reply in replies]
    assert all(b"does not come from a page that this run of the server made" in reply.body for reply in replies)
    assert folder.exists()
    assert not (plugins_dir / ".testmesh.json").exists()


def test_secret_of_another_server_does_not_count(client: Any, start_server: Any) -> None:
    with start_server() as other:
        assert 403 == post(other, "/rescan", {"form_token": form_token(client)}).status


def test_secret_does_not_help_other_origins(client: Any) -> None:
    reply = post(client, "/rescan", {"form_token": form_token(client)}, Origin="http://evil.example")

    assert 403 == reply.status


def test_form_sent_by_the_page_itself_is_taken(client: Any) -> None:
    origin = f"http://127.0.0.1:{client.port}"

    reply = post(client, "/rescan", {"form_token": form_token(client)}, Origin=origin)

    assert leads_to(reply).startswith("/?notice=")


def test_unreadable_forms_are_refused(client: Any) -> None:
    bodies = [b"\xff=1", b"&".join(b"a=1" for _ in range(99)), b"a=%ff"]

    assert [400, 400, 400] == [client.request("POST", "/rescan", body, FORM).status for body in bodies]


def test_unknown_plugins_are_not_found(client: Any) -> None:
    fields = {"form_token": form_token(client)}
    ids = ["nothing", "%2e%2e", "%00", "%ed%a0%80", "a" * 3000]

    replies = [post(client, f"/plugins/{each}/{what}", fields) for each in ids for what in ("enable", "uninstall")]

    assert [404] * len(replies) == [reply.status for reply in replies]


def test_folder_with_a_broken_manifest_can_be_uninstalled(client: Any, plugins_dir: Path) -> None:
    folder = plugins_dir / "50% done & more"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"id": "x"}))

    question = client.request("GET", found(r'href="(/plugins/[^"]+/uninstall)"', client.request("GET", "/").body)).body
    answer = post(client, found(r'action="(/plugins/[^"]+)#notice"', question), {"form_token": form_token(client)})

    assert str(folder).replace("&", "&amp;") in question.decode()
    assert leads_to(answer).startswith("/?notice=")
    assert not folder.exists()


def test_confirmation_of_a_link_says_that_only_the_link_goes(
    client: Any, plugins_dir: Path, make_plugin: Callable[..., Path]
) -> None:
    (plugins_dir / "my-plugin").symlink_to(make_plugin())

    page = client.request("GET", "/plugins/my-plugin/uninstall").body.decode()

    assert "removes this link, not the folder that it leads to" in page
    assert f"{plugins_dir / 'my-plugin'}</pre>" in page


def test_address_of_a_forms_answer_leads_to_the_list(client: Any) -> None:
    paths = ("/install", "/rescan", "/plugins/x/enable", "/plugins/x/disable", "/login")

    assert {"/"} == {leads_to(client.request("GET", path)) for path in paths}


def test_nothing_is_shown_before_the_login(start_server: Any) -> None:
    with start_server(token="secret") as client:
        paths = ("/", "/docs", "/plugins/x/uninstall", "/install")

        assert {"/login"} == {leads_to(client.request("GET", path)) for path in paths}


def test_wrong_token_does_not_log_in(start_server: Any) -> None:
    with start_server(token="secret") as client:
        reply = post(client, "/login", {"token": "guess"})

    assert 403 == reply.status
    assert b"This is not the token of this server." in reply.body
    assert "Set-Cookie" not in reply.headers


def test_cookie_of_a_login_is_kept_from_scripts_and_other_sites(start_server: Any) -> None:
    with start_server(token="secret") as client:
        reply = post(client, "/login", {"token": "secret"})

    cookie = reply.headers["Set-Cookie"].lower()
    assert "/" == leads_to(reply)
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secret" not in cookie


def test_cookie_alone_sends_no_form(start_server: Any) -> None:
    with start_server(token="secret") as client:
        cookie = post(client, "/login", {"token": "secret"}).headers["Set-Cookie"].partition(";")[0]

        assert 403 == post(client, "/rescan", {}, Cookie=cookie).status
        assert leads_to(post(client, "/logout", {"form_token": form_token(client, Cookie=cookie)}, Cookie=cookie))


def test_a_cookie_that_was_copied_counts_no_more_after_the_log_out(start_server: Any) -> None:
    with start_server(token="secret") as client:
        cookie = post(client, "/login", {"token": "secret"}).headers["Set-Cookie"].partition(";")[0]
        post(client, "/logout", {"form_token": form_token(client, Cookie=cookie)}, Cookie=cookie)

        reply = client.request("GET", "/", headers={"Cookie": cookie})

    assert "/login" == leads_to(reply)


def test_static_files_are_only_those_of_the_page(client: Any) -> None:
    names = ["testmesh.css", "icon.svg", "copy.js", "../page.py", "..%2fpage.py", "nothing.css"]

    assert [200, 200, 200, 404, 404, 404] == [client.request("GET", f"/static/{name}").status for name in names]
