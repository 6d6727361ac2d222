"""What is masked, and what must stay readable."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from pytest_testmesh.secrets import MASK, Masker

SECRET_NAMES = """
    password PASSWORD db_password dbPassword DBPassword dbpassword PGPASSWORD passwd pwd passphrase password_2
    secret secrets client_secret clientSecret clientsecret AWS_SECRET_ACCESS_KEY token tokens accessToken access_token
    accesstoken csrftoken X-CSRF-Token XSRFToken api_key apiKey api-key X-Api-Key APIKEY APIKey private_key
    Authorization Proxy-Authorization Cookie Set-Cookie sessionid credentials jwt card card_number cvv
"""
OTHER_NAMES = """
    user passed compass passenger bypass key keyboard secretary tokenizer monkey discard scorecard status iban
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_a_name_that_looks_like_a_secret_is_one(name: str) -> None:
    assert Masker().is_secret_name(name)


@pytest.mark.parametrize("name", ["", *OTHER_NAMES.split()])
def test_other_names_are_none(name: str) -> None:
    assert not Masker().is_secret_name(name)


@pytest.mark.parametrize("name", ["iban", "IBAN", "customer_iban", "customerIban", "x-session"])
def test_names_can_be_added(name: str) -> None:
    assert Masker(["iban", "x-session"]).is_secret_name(name)


@pytest.mark.parametrize(
    "masked",
    [
        "password: ***",
        "password=***",
        'password="***"',
        "db_password = '***'",
        '{"password":"***"}',
        '{"user": "amy", "password": "***", "id": 5}',
        "Authorization: ***",
        "X-Api-Key: ***",
        "?token=***&page=2",
        "http://amy:***@localhost/",
        "postgresql://shop:***@db:5432/orders",
        "Cookie: ***",
    ],
)
@pytest.mark.parametrize("secret", ["hunter", "x"])
def test_a_value_is_masked_by_its_position(masked: str, secret: str) -> None:
    assert masked == Masker().text(masked.replace(MASK, secret))


@pytest.mark.parametrize(
    ("masked", "text"),
    [
        ("Authorization: ***", "Authorization: Bearer abc.def"),
        ("Authorization: ***", "Authorization: Basic YW15Omh1bnRlcg=="),
        ("Authorization: ***", 'Authorization: Digest username="amy", response="6629fae49393"'),
        ("Cookie: ***", "Cookie: a=1; b=2"),
        ("Cookie: ***\nAccept: json", "Cookie: a=1; b=2\nAccept: json"),
        ('{"password": "***"}', '{"password": "a\\"b, c"}'),
        ('{"password": ***}', '{"password": 12345}'),
    ],
)
def test_all_of_a_value_is_masked(masked: str, text: str) -> None:
    assert masked == Masker().text(text)


@pytest.mark.parametrize(
    "text",
    [
        "token == 5",
        "body.token != null",
        "token =~ x",
        "token: null",
        "${token}",
        "the password is wrong",
        "status: 200",
        "http://localhost:8080/a@b",
        "passed: 3",
        "a password, a token and a secret",
        "to:amy@example.com",
        "12:30 amy@localhost:80",
        "at localhost:80: amy@localhost:81",
        "app:1.2@sha256:9f86d081884c7d659a2feaa0c55ad015",
        "app:1.2@sha256:12345.example",
    ],
)
def test_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert text == Masker().text(text)


SECRET = 'p@ss w/"ö" 1'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
    ],
    ids=["plain", "url", "url, all", "form", "JSON", "JSON, Unicode", "base64", "base64url", "base64, no padding"],
)
def test_a_known_value_is_masked_in_every_form(written: str) -> None:
    masker = Masker()
    masker.add(SECRET)

    assert "<***>" == masker.text(f"<{written}>")


@pytest.mark.parametrize("user", ["", "a", "am", "amy"])
@pytest.mark.parametrize("rest", ["", ":", ":x"])
@pytest.mark.parametrize("secret", ["correct horse battery", "correct horse battery!", "correct horse battery!!"])
def test_a_known_value_is_masked_within_base64(user: str, rest: str, secret: str) -> None:
    masker = Masker()
    masker.add(secret)

    shown = masker.text(base64.b64encode(f"{user}{secret}{rest}".encode()).decode())

    assert MASK in shown
    assert len(shown) < 16


@pytest.mark.parametrize("value", ["test", "12345", 12345, True, None, "", 3.5], ids=repr)
def test_a_short_value_is_not_masked_wherever_it_turns_up(value: Any) -> None:
    masker = Masker()
    masker.add(value)

    text = f"a test of {value}, True and None"
    assert text == masker.text(text)


def test_values_behind_secret_names_are_collected_from_a_tree() -> None:
    masker = Masker()
    masker.collect({"user": "amy-lee", "auth": {"token": "abc-123-def"}})
    masker.collect([{"password": ["first-one", {"x": "second-one"}]}])
    masker.collect({"Authorization": "Bearer header-value", "pin": 123456, "card": 4111111111})

    assert "amy-lee *** *** *** *** 123456 ***" == masker.text(
        "amy-lee abc-123-def first-one second-one header-value 123456 4111111111"
    )


def test_the_longest_secret_wins() -> None:
    masker = Masker()
    masker.add("secret")
    masker.add("secret-and-more")

    assert "*** ***" == masker.text("secret-and-more secret")


def test_a_tree_keeps_its_shape() -> None:
    masker = Masker()
    masker.add("hunter2")

    masked = masker.tree(
        {"user": "amy", "password": 5, "note": "hunter2!", "ids": [1, None], "token": None, "secret": ""}
    )

    assert {"user": "amy", "password": MASK, "note": "***!", "ids": [1, None], "token": None, "secret": ""} == masked


def test_a_key_need_not_be_text() -> None:
    masker = Masker()
    masker.collect({1: {"password": "hunter2"}})

    assert {1: "***", None: 5} == masker.tree({1: "hunter2", None: 5})


def test_masking_twice_changes_nothing() -> None:
    masker = Masker()
    once = masker.text('Authorization: Bearer x, {"password": "y"} http://a:b@c/ token=z')

    assert once == masker.text(once)


def test_a_megabyte_without_a_secret_takes_no_more_time_than_reading_it() -> None:
    """A pattern that backtracks would take minutes here; pytest's own limits then end the run."""
    text = "a" * 1_000_000 + " password " + "b.c-" * 100_000 + '"' * 1000

    assert text == Masker().text(text)


def _nested(levels: int) -> list[Any]:
    tree: list[Any] = ["hunter2"]
    for _ in range(levels):
        tree = [tree]
    return tree


def test_a_tree_too_deep_to_walk_is_masked_as_a_whole_below() -> None:
    masked = Masker().tree(_nested(5000))

    assert MASK in json.dumps(masked)
    assert "hunter2" not in json.dumps(masked)


def test_what_is_deep_or_within_itself_can_be_collected() -> None:
    circle: dict[str, Any] = {"password": "hunter-two"}
    circle |= {"self": circle, "twice": [circle, circle]}
    masker = Masker()
    masker.collect(circle)
    masker.collect(_nested(5000))
    masker.add(_nested(5000))

    assert "***" == masker.text("hunter-two")
    assert {"password": MASK, "self": MASK, "twice": [MASK, MASK]} == masker.tree(circle)


@pytest.mark.parametrize(
    ("masked", "text"),
    [
        ('"password": "***"', '"password": "SUPERSECRETSU'),
        ('"password": "***"\n  next: "x"', '"password": "SUPERSECRETSU...\n  next: "x"'),
        ('"password": "***" (900 characters)', '"password": "SUPER\\"SECRET... (900 characters)'),
        ("password: '***'", "password: 'SUPERSECRETSU"),
        ('"password": "***"', '"password": "SUPERSECRET\\'),
        ('"password": ""', '"password": ""'),
        ('"passwords": ***, "x": 1', '"passwords": ["pw-]abcdefg", "x"], "x": 1'),
        ('"passwords": ***', '"passwords": [\n  "pw-abcdefg",\n  ["x"]\n]'),
        ('"passwords": ***\nnext: [1]', '"passwords": ["pw-abcdefg", ["x"\nnext: [1]'),
        ('"credentials": ***', '"credentials": {"user": "amy", "key": "x"}'),
        ('"passwords": [], "x": 1', '"passwords": [], "x": 1'),
        ("https://***@host/x", "https://ghp_x@host/x"),
        ("http://amy:***@host/x", "http://amy:a/b@host/x"),
        ("http://amy:***@host/x?m=a@b", "http://amy:a@b@host/x?m=a@b"),
        ("http://amy:***@host", "http://amy:1234@host"),
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
        ('U = "amy:***@localhost:3100"', 'U = "amy:s3cret@localhost:3100"'),
        ("url=amy:***@db.local:5432/x", "url=amy:1234@db.local:5432/x"),
        ("[:***@host:6379]", "[:pw@host:6379]"),
        ("amy:***@[::1]:5432", "amy:p@ss@[::1]:5432"),
        ("amy:***@host:80, bob:***@host:81", "amy:a@host:80, bob:b@host:81"),
        ("http://${HOST}:${PORT}/a@b", "http://${HOST}:${PORT}/a@b"),
    ],
)
def test_a_value_is_masked_however_it_is_written(masked: str, text: str) -> None:
    assert masked == Masker().text(text)


def test_the_beginning_of_a_known_value_that_was_cut_is_masked() -> None:
    masker = Masker()
    masker.add("correct-horse-battery")

    assert 'it is "***..., and ***... or corr...' == masker.text(
        'it is "correct-hor..., and correct-horse-batter... or corr...'
    )
    assert "incorrect horses..." == masker.text("incorrect horses...")


@pytest.mark.parametrize(
    "text",
    [
        "config.password must be string, not 778899",
        "config.secret_key must be string, not ['778899']",
        "config.auth.token must be string or null, not {'a': '778899'}",
        r'''body: "{\\"password\\": \\"778899\\"}"''',
    ],
    ids=["number", "list", "mapping", "JSON within quotes"],
)
def test_a_value_of_the_wrong_type_is_masked(text: str) -> None:
    masked = Masker().text(text)

    assert "778899" not in masked
    assert MASK in masked
