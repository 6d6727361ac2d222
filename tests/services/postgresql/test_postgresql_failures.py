"""What is said when PostgreSQL cannot be reached or refuses: the cause, where, and what to do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import errorcodes

from pytest_testmesh.errors import ActionConfigError, ActionError, TargetError, TargetUnavailableError
from pytest_testmesh.integrations.postgresql.actions import ACTIONS
from pytest_testmesh.integrations.postgresql.failures import BY_CLASS, BY_EXCEPTION, find_row, row_of_state

CODES = {
    name: code
    for name, code in vars(errorcodes).items()
    if isinstance(code, str) and len(code) == 5 and code != errorcodes.SUCCESSFUL_COMPLETION
}
# errors of psycopg2 itself, not of the server
EXCEPTIONS = [each for each in vars(psycopg2).values() if isinstance(each, type) and issubclass(each, psycopg2.Error)]


@pytest.fixture
def run(make_context: Callable[..., Any], server: Any) -> Callable[..., Any]:
    """``run("SELECT 1")`` runs one ``postgresql.query``."""
    contexts = []

    def start(query: str, **config: Any) -> Any:
        contexts.append(make_context(postgresql_url=server.url))
        start.context = contexts[-1]  # type: ignore[attr-defined]
        return ACTIONS["query"]({"query": query, **config}, contexts[-1])

    return start


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("SSL SYSCALL error: EOF detected\n", "the server closed the connection"),
        ("SSL connection has been closed unexpectedly\n", "the server closed the connection"),
        ("could not receive data from server: Connection reset by peer\n", "the server closed the connection"),
        ('connection to server at "db", port 5432 failed: SSL SYSCALL error: EOF detected\n', "{said}"),
    ],
)
def test_a_connection_that_ends_in_a_statement_is_told_apart_from_tls_that_never_began(said: str, told: str) -> None:
    assert told == find_row(psycopg2.OperationalError(said)).text


@pytest.fixture
def offline(make_context: Callable[..., Any]) -> Callable[..., ActionError]:
    """``offline(host=...)`` is the error of a step that cannot connect."""

    def fail(**config: Any) -> ActionError:
        with pytest.raises(ActionError) as caught:
            ACTIONS["query"]({"query": "SELECT 1", **config}, make_context())
        return caught.value

    return fail


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], tuple[int, list[bytes]]]]:
    """``answering(b"...")`` is the port of a server that says just that to whatever comes, and what came."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = []

        def start(answer: bytes) -> tuple[int, list[bytes]]:
            received: list[bytes] = []

            def serve() -> None:
                while True:
                    try:
                        connection, _ = server.accept()
                    except OSError:
                        return
                    with connection:
                        received.append(connection.recv(1000))
                        connection.sendall(answer)

            threads.append(threading.Thread(target=serve, daemon=True))
            threads[-1].start()
            return server.getsockname()[1], received

        yield start
        server.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(5)


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_every_condition_of_the_server_has_a_row(code: str) -> None:
    assert code[:2] in BY_CLASS
    assert issubclass(row_of_state(code).error, ActionError)


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda each: each.__name__)
def test_every_error_of_psycopg2_has_a_row(exception: type[Exception]) -> None:
    assert issubclass(find_row(exception("some words")).error, ActionError)
    assert any(kind in BY_EXCEPTION for kind in exception.__mro__)


@pytest.mark.parametrize(
    ("query", "code", "message", "hint"),
    [
        ("SELEC 1", "SYNTAX_ERROR", 'syntax error at or near "SELEC" (column 1)', "`sent` above shows the place"),
        ("SELECT *\n  FORM t", "SYNTAX_ERROR", 'syntax error at or near "FORM" (line 2, column 3)', None),
        ("SELECT * FROM orderz", "UNDEFINED_TABLE", 'relation "orderz" does not exist (column 15)', "schema.table"),
        ("SELECT oit FROM pg_class", "UNDEFINED_COLUMN", 'column "oit" does not exist', '"pg_class.oid"'),
        ("SELECT nofn(1)", "UNDEFINED_FUNCTION", "function nofn(integer) does not exist", "explicit type casts"),
        ("SELECT 'x'::int", "INVALID_TEXT_REPRESENTATION", 'invalid input syntax for type integer: "x"', "cast"),
        ("SELECT 1/0", "DIVISION_BY_ZERO", "division by zero", None),
        ("SELECT * FROM nosch.t", "UNDEFINED_TABLE", 'relation "nosch.t" does not exist', None),
        ("CREATE TABLE nosch.t (a int)", "INVALID_SCHEMA_NAME", 'schema "nosch" does not exist', "created"),
        ("DO $$ BEGIN RAISE EXCEPTION 'no!' USING DETAIL = 'since', HINT = 'do this'; END $$",
         "RAISE_EXCEPTION", "no!: since", "do this"),
    ],
)  # fmt: skip
def test_a_refused_statement(
    run: Callable[..., Any], server: Any, query: str, code: str, message: str, hint: str | None
) -> None:
    with pytest.raises(TargetError) as caught:
        run(query)

    assert code == caught.value.code
    assert f"127.0.0.1:{server.facts['port']}/postgres: {message}" in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


def test_the_place_of_an_error_is_that_in_the_authors_text(run: Callable[..., Any]) -> None:
    with pytest.raises(TargetError, match="line 2, column 6") as caught:
        run("SELECT ?, 'é🌍', :long\nFROM nowhere WHERE a = ?", params=["x" * 100, 1], named_params={"long": -1.5})

    sent = run.context.exchange.sent()  # type: ignore[attr-defined]
    assert "SELECT ?, 'é🌍', :long\nFROM nowhere WHERE a = ?\n     ^" in sent
    assert "42P01" == caught.value.details["sqlstate"]


def test_a_value_that_does_not_fit_is_told_with_its_placeholder(run: Callable[..., Any]) -> None:
    with pytest.raises(TargetError, match=r'invalid input syntax for type integer: "x" \(column 12\)'):
        run("SELECT 1 + ?::int", params=["x"])


def test_a_violated_constraint_tells_the_row(run: Callable[..., Any], unique: str) -> None:
    run(f"CREATE TABLE {unique} (id int PRIMARY KEY CONSTRAINT positive CHECK (id > 0), name text NOT NULL)")
    insert = f"INSERT INTO {unique} VALUES (?, ?)"
    found = {}
    for params in ([1, "a"], [1, "b"], [0, "b"], [2, None]):
        try:
            run(insert, params=params)
        except TargetError as exc:
            found[exc.code] = exc
    run(f"DROP TABLE {unique}")

    assert ["UNIQUE_VIOLATION", "CHECK_VIOLATION", "NOT_NULL_VIOLATION"] == list(found)
    assert "Key (id)=(1) already exists." in found["UNIQUE_VIOLATION"].message
    assert "positive" == found["CHECK_VIOLATION"].details["constraint"]
    assert "name" == found["NOT_NULL_VIOLATION"].details["column"]


def test_no_permission(run: Callable[..., Any], unique: str) -> None:
    run(f"CREATE ROLE {unique}; CREATE TABLE {unique}_t (a int)")
    try:
        with pytest.raises(TargetError, match=f"permission denied for table {unique}_t") as caught:
            run(f"SET ROLE {unique}; SELECT * FROM {unique}_t")
        run("RESET ROLE")
    finally:
        run(f"DROP TABLE {unique}_t; DROP ROLE {unique}")

    assert ("INSUFFICIENT_PRIVILEGE", True) == (caught.value.code, "GRANT" in (caught.value.hint or ""))


def test_no_such_database(run: Callable[..., Any]) -> None:
    with pytest.raises(TargetUnavailableError, match='database "nodb" does not exist') as caught:
        run("SELECT 1", database="nodb")

    assert "CONNECTION_ERROR" == caught.value.code


def test_a_wrong_password_is_told_and_not_shown(run: Callable[..., Any], server: Any) -> None:
    if not server.facts["password"]:
        pytest.skip("this server asks for no password")
    with pytest.raises(TargetError, match="password authentication failed for user") as caught:
        run("SELECT 1", password="swordfish")

    assert "AUTHENTICATION_FAILED" == caught.value.code
    assert "swordfish" not in caught.value.message
    assert "postgresql://postgres:***@" in caught.value.message
    assert "swordfish" in run.context.secrets  # type: ignore[attr-defined]


def test_no_password(run: Callable[..., Any], server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if not server.facts["password"]:
        pytest.skip("this server asks for no password")
    monkeypatch.setenv("PGPASSFILE", "/nowhere")
    with pytest.raises(TargetError, match="no password supplied"):
        run("SELECT 1", connectionString=server.url.replace(f":{server.facts['password']}@", "@"))


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_tls_with_a_trusted_certificate(run: Callable[..., Any], server: Any, mode: str) -> None:
    if "ca" not in server.facts:
        pytest.skip("this server knows no TLS")
    url = f"{server.url}?sslmode={mode}&sslrootcert={server.facts['ca']}"

    assert run("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", connectionString=url)["first_row"]["ssl"]


def test_tls_with_a_certificate_that_nobody_trusts(run: Callable[..., Any], server: Any, tmp_path: Path) -> None:
    if "ca" not in server.facts:
        pytest.skip("this server knows no TLS")
    other = tmp_path / "other.crt"
    other.write_text(OTHER_CA)
    with pytest.raises(TargetUnavailableError, match="the server's TLS certificate is not trusted") as caught:
        run("SELECT 1", connectionString=f"{server.url}?sslmode=verify-ca&sslrootcert={other}")

    assert "sslrootcert" in (caught.value.hint or "")


def test_tls_without_a_root_certificate(run: Callable[..., Any], server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if "ca" not in server.facts:
        pytest.skip("this server knows no TLS")
    monkeypatch.setenv("PGSSLROOTCERT", "/nowhere/root.crt")
    with pytest.raises(ActionConfigError, match="root certificate file"):
        run("SELECT 1", sslmode="verify-full")


def test_nobody_listens(offline: Callable[..., ActionError]) -> None:
    with socket.socket() as holder:  # bound, so that nobody else listens there
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        error = offline(host="127.0.0.1", port=port, user="ada", password="secret", database="shop")

    assert f"postgresql://ada:***@127.0.0.1:{port}/shop: connection refused" == error.message
    assert ("CONNECTION_ERROR", f"is the server running? nothing listens on 127.0.0.1:{port}") == (
        error.code,
        error.hint,
    )


def test_an_unknown_host(offline: Callable[..., ActionError]) -> None:
    assert "postgresql://nohost.invalid:5432: unknown host nohost.invalid" == offline(host="nohost.invalid").message


def test_a_server_of_another_kind(offline: Callable[..., ActionError], answering: Any) -> None:
    port, received = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    error = offline(host="127.0.0.1", port=port, sslmode="disable")

    assert "the answer is not PostgreSQL's" in error.message
    assert f"is 127.0.0.1:{port} a PostgreSQL server?" == error.hint
    assert 1 == len(received), "nothing is tried again"


def test_a_server_without_tls(offline: Callable[..., ActionError], answering: Any) -> None:
    port, _ = answering(b"N")
    error = offline(host="127.0.0.1", port=port, sslmode="require")

    assert "server does not support SSL, but SSL was required" in error.message
    assert "sslmode: disable" in (error.hint or "")


def test_a_server_that_hangs_up(offline: Callable[..., ActionError], answering: Any) -> None:
    port, received = answering(b"")
    error = offline(host="127.0.0.1", port=port, sslmode="disable")

    assert error.message.endswith("the server closed the connection")
    assert 1 == len(received), "nothing is tried again"


def test_a_server_that_never_answers(offline: Callable[..., ActionError]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        error = offline(host="127.0.0.1", port=server.getsockname()[1], timeout="300ms")

    assert "waiting for a connection (timeout 300ms of the statement)" in error.message
    assert "TIMEOUT" == error.code


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("jdbc:postgresql://host/db", "config.connectionString is a JDBC address"),
        ("hello", "config.connectionString is no connection string: it is neither a URL nor key=value pairs"),
        ("postgresql://u:topsecret@h/db?foo=1", 'no connection string: invalid URI query parameter: "foo"'),
        ("postgresql://u:topsecret@[::1/db", "no connection string: it cannot be read as a URL"),
        ("postgresql://u:topsecret@h:54x2/db", "config.connectionString: '54x2' is no port"),
        ("password=topsecret nope", "it is neither a URL nor key=value pairs"),
    ],
)
def test_a_wrong_connection_string(offline: Callable[..., ActionError], given: str, message: str) -> None:
    error = offline(connectionString=given)

    assert message in error.message
    assert "topsecret" not in f"{error.message}{error.hint}"
    assert isinstance(error, ActionConfigError)


@pytest.mark.parametrize(
    ("config", "setting", "shown"),
    [
        ({"connectionString": "postgres://a:b@h:1/d"}, None, "postgresql://a:***@h:1/d"),
        ({"connectionString": "postgresql+psycopg2://a@h:1/d", "database": "e"}, None, "postgresql://a@h:1/e"),
        ({"connectionString": "host=h port=1 dbname='d d' user=a"}, None, "postgresql://a@h:1/d d"),
        ({"connectionString": "postgresql://a@[::1]:1/d"}, None, "postgresql://a@[::1]:1/d"),
        ({}, "postgresql://a:b@h/d", "postgresql://a:***@h:5432/d"),
        ({"user": "c", "password": "p"}, "postgresql://a:b@h/d", "postgresql://c:***@h:5432/d"),
        ({"host": "other"}, "postgresql://a:b@h/d", "postgresql://other:5432"),
        ({}, None, "postgresql://localhost:5432"),
    ],
)
def test_what_a_step_connects_to(
    make_context: Callable[..., Any], config: dict[str, Any], setting: str | None, shown: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from pytest_testmesh.integrations.postgresql.target import find_target

    monkeypatch.delenv("PGHOST", raising=False)
    context = make_context(**({"postgresql_url": setting} if setting else {}))

    assert shown == find_target(config, context).shown


# A certificate that signed nothing; its key is lost.
OTHER_CA = """\
-----BEGIN CERTIFICATE-----
MIIBdjCCAR2gAwIBAgIUJK8T2dSlswtAOGXiAdih4lm82ggwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTIyMjIwNzM5WhgPMjEyNjEwMjkyMjA3
MzlaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
hwb3MwvGRk1RgMca2ZRRSqUKxoDEYJ2DKFBIYdzMClsZxCyiwn3OheLwgTQT6W9r
ygbL6tNk61aU78Sste0qsqNTMFEwHQYDVR0OBBYEFIE44W2SdGVAa/t7eyVs+OxU
UMbhMB8GA1UdIwQYMBaAFIE44W2SdGVAa/t7eyVs+OxUUMbhMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgW+vn8SKfPMLbG2O+ESuLDQEvlyQluDLP
xQkCuBFPEMkCIHPEyL0GoJzdZNbe64k0v7hXwKvSAByC196GtvMvAvxl
-----END CERTIFICATE-----
"""
