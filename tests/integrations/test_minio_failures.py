"""What ``minio.*`` steps send, and what they say when a server refuses, breaks or keeps silent."""

from __future__ import annotations

import inspect
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import minio.error
import pytest

from pytest_testmesh.errors import ActionTimeoutError, MeshError, StepAssertionError, TargetError
from pytest_testmesh.errors import TargetUnavailableError as Unavailable
from pytest_testmesh.integrations import minio as actions
from pytest_testmesh.integrations.minio import calls
from pytest_testmesh.integrations.minio.failures import TABLE
from pytest_testmesh.polling import NEVER, Deadline

Step = Callable[..., Any]
KEYS = {"access_key": "ann", "secret_key": "topsecret"}
ETAG = 'ETag: "abc"\r\n'


def answer(status: str, body: str = "", *, headers: str = "", content_type: str = "application/xml") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body.encode())}\r\n{headers}\r\n"
    return (head + body).encode()


def error(status: str, code: str, message: str = "so it is", **options: str) -> bytes:
    return answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", **options)


@pytest.fixture
def step(steps: Any, tcp_script: Any) -> Iterator[Step]:
    """``step("get", port)`` runs one step; its connections are closed before the servers of `tcp_script`."""

    def run(action: str, port: int, deadline: Deadline = NEVER, **config: Any) -> Any:
        place = {"bucket": "abc", "object": "o", "endpoint": f"127.0.0.1:{port}", **KEYS}
        return getattr(actions, f"minio_{action}")({**place, **config}, steps.context(deadline))

    yield run
    steps.session.close()


@pytest.fixture
def answering(tcp_script: Any) -> Callable[..., Any]:
    """``answering(b"...", b"...")`` gives these answers in turn and hangs up; *seen* are the heads of the requests."""

    def start(*answers: bytes) -> Any:
        left = list(answers)

        def play(connection: socket.socket, script: Any) -> None:
            with connection.makefile("rb") as stream:
                while head := _head(stream):
                    script.seen.append(head)
                    stream.read(int(_value(head, "content-length") or 0))
                    connection.sendall(left.pop(0))
                    if not left:
                        return

        script = tcp_script(play)
        script.seen = []
        return script

    return start


def _head(stream: Any) -> list[str]:
    lines = []
    while (line := stream.readline().decode().rstrip("\r\n")) != "":
        lines.append(line)
    return lines


def _value(head: Sequence[str], name: str) -> str | None:
    return next((line.partition(": ")[2] for line in head if line.lower().startswith(f"{name}: ")), None)


def _lines(script: Any) -> list[str]:
    return [head[0].removesuffix(" HTTP/1.1") for head in script.seen]


OK = answer("200 OK", headers=ETAG)
GONE = answer("404 Not Found")


@pytest.mark.parametrize(
    "name", [n for n, each in inspect.getmembers(minio.error, inspect.isclass) if issubclass(each, Exception)]
)
def test_every_error_of_the_client_is_mapped(name: str) -> None:
    assert name in TABLE


@pytest.mark.parametrize(
    ("action", "config", "answers", "sent"),
    [
        pytest.param("put", {"data": "x"}, [OK], ["PUT /abc/o"], id="put"),
        pytest.param("put", {"data": "x" * 6_000_000}, [OK], ["PUT /abc/o"], id="put of 6 MB"),
        pytest.param("put", {"data": "", "create_bucket": True}, [OK, OK], ["HEAD /abc", "PUT /abc/o"], id="bucket"),
        pytest.param(
            "put",
            {"data": "", "create_bucket": True},
            [GONE, answer("200 OK"), OK],
            ["HEAD /abc", "PUT /abc", "PUT /abc/o"],
            id="new bucket",
        ),
        pytest.param("get", {}, [answer("200 OK", "x", headers=ETAG)], ["GET /abc/o"], id="get"),
        pytest.param("delete", {}, [OK, answer("204 No Content")], ["HEAD /abc/o", "DELETE /abc/o"], id="delete"),
        pytest.param("assert", {}, [OK], ["HEAD /abc/o"], id="assert"),
        pytest.param("assert", {"exists": False}, [GONE, OK], ["HEAD /abc/o", "HEAD /abc"], id="assert not"),
        pytest.param("assert", {"as": "text"}, [OK], ["GET /abc/o"], id="assert of the body"),
        pytest.param("assert", {"assert": ["body == ''"], "as": "text"}, [OK], ["GET /abc/o"], id="expression"),
    ],
)
def test_a_step_sends_what_it_must(
    step: Step, answering: Any, action: str, config: dict[str, Any], answers: list[bytes], sent: list[str]
) -> None:
    server = answering(*answers)
    step(action, server.port, **config)

    assert sent == _lines(server)


def test_a_file_goes_in_parts(step: Step, answering: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large").write_bytes(b"x" * (2 * calls.PART_BYTES + 1))
    upload = answer("200 OK", "<R><UploadId>u1</UploadId></R>")
    done = answer("200 OK", '<R><Bucket>abc</Bucket><Key>o</Key><ETag>"e-3"</ETag></R>')
    server = answering(upload, OK, OK, OK, done)
    result = step("put", server.port, file="large")

    assert ("e-3", 2 * calls.PART_BYTES + 1) == (result["etag"], result["size"])
    parts = [f"PUT /abc/o?partNumber={number}&uploadId=u1" for number in (1, 2, 3)]
    assert ["POST /abc/o?uploads=", *parts, "POST /abc/o?uploadId=u1"] == _lines(server)


def test_an_upload_that_fails_is_given_up(step: Step, answering: Any, tmp_path: Any) -> None:
    (tmp_path / "large").write_bytes(b"x" * (calls.PART_BYTES + 1))
    upload = answer("200 OK", "<R><UploadId>u1</UploadId></R>")
    server = answering(upload, error("507 Full", "XMinioStorageFull"), answer("204 No Content"))
    with pytest.raises(TargetError, match=r"no room left for this: so it is \(XMinioStorageFull\)") as caught:
        step("put", server.port, file="large")

    assert "STORAGE_FULL" == caught.value.code
    assert "DELETE /abc/o?uploadId=u1" == _lines(server)[-1]


def test_the_cause_is_told_where_giving_up_fails_too(step: Step, answering: Any, tmp_path: Any) -> None:
    (tmp_path / "large").write_bytes(b"x" * (calls.PART_BYTES + 1))
    upload = answer("200 OK", "<R><UploadId>u1</UploadId></R>")
    server = answering(upload, error("507 Full", "XMinioStorageFull"), error("500 Error", "InternalError"))
    with pytest.raises(TargetError, match="XMinioStorageFull"):
        step("put", server.port, file="large")


@pytest.mark.parametrize("status", ["500 Error", "503 Slow", "307 Redirect"])
def test_nothing_is_sent_twice(step: Step, answering: Any, status: str) -> None:
    server = answering(error(status, "SlowDown", headers="Retry-After: 0\r\nLocation: /abc/x\r\n"))
    with pytest.raises(TargetError, match="too much to do"):
        step("get", server.port)

    assert 1 == len(server.seen)


def test_connections_are_used_again_and_not_when_they_are_old(step: Step, answering: Any) -> None:
    body = answer("200 OK", "x", headers=ETAG)
    server = answering(body, body, answer("200 OK", "x", headers=f"{ETAG}Keep-Alive: timeout=0\r\n"), body)
    for _ in range(4):
        step("get", server.port)

    assert 4 == len(server.seen)


@pytest.mark.parametrize(
    ("raw", "kind", "code", "told"),
    [
        pytest.param(error("404 X", "NoSuchKey"), TargetError, "NO_SUCH_KEY", "no such object", id="object"),
        pytest.param(error("404 X", "NoSuchBucket"), TargetError, "NO_SUCH_BUCKET", "no bucket abc", id="bucket"),
        pytest.param(error("403 X", "AccessDenied"), TargetError, "PERMISSION_DENIED", "does not allow", id="denied"),
        pytest.param(
            error("403 X", "RequestTimeTooSkewed"), TargetError, "CLOCK_SKEW", "clocks of this machine", id="clock"
        ),
        pytest.param(error("403 X", "ExpiredToken"), TargetError, "AUTHENTICATION_FAILED", "session token", id="token"),
        pytest.param(
            error("400 X", "AuthorizationHeaderMalformed", "expecting 'eu-west-1'"),
            TargetError,
            "WRONG_REGION",
            "another region than us-east-1: expecting 'eu-west-1'",
            id="region",
        ),
        pytest.param(
            error("499 X", "ClientDisconnected"),
            Unavailable,
            "CONNECTION_ERROR",
            "gave the request up",
            id="gives up",
        ),
        pytest.param(error("503 X", "SlowDown"), TargetError, "SLOW_DOWN", "too much to do", id="busy"),
        pytest.param(error("418 X", "Teapot"), TargetError, "TARGET_ERROR", r"said: so it is \(Teapot\)", id="other"),
        pytest.param(
            error("418 X", "Teapot", content_type="text/xml"),
            TargetError,
            "TARGET_ERROR",
            r"said: so it is \(Teapot\)",
            id="text/xml, other",
        ),
        pytest.param(
            answer("404 X", "no" * 1000, content_type="text/plain"),
            TargetError,
            "NOT_S3",
            r"HTTP 404, text/plain, (no){20,110}(?!no)",
            id="long answer",
        ),
        pytest.param(
            error("404 X", "NoSuchKey", content_type="text/xml"), TargetError, "NO_SUCH_KEY", "no such", id="text/xml"
        ),
        pytest.param(
            answer("404 X", "<h1>no</h1>", content_type="text/html"),
            TargetError,
            "NOT_S3",
            "not one of S3: HTTP 404, text/html, <h1>no</h1>",
            id="web server",
        ),
        pytest.param(
            answer("503 X", "http: Server closed\n", content_type="text/plain"),
            Unavailable,
            "CONNECTION_ERROR",
            "the server is not ready: HTTP 503, text/plain, http: Server closed",
            id="stops",
        ),
        pytest.param(
            answer("200 OK", "hello", content_type="text/html"), TargetError, "NOT_S3", "it has no ETag", id="200"
        ),
        pytest.param(answer("404 X", "\ufeff<broken"), TargetError, "NOT_S3", "not one of S3", id="broken XML"),
        pytest.param(
            b"HTTP/1.1 502 X\r\nContent-Length: 2\r\n\r\n\xff\xfe", TargetError, "NOT_S3", "not one of S3", id="bytes"
        ),
        pytest.param(
            answer("400 X", "Client sent an HTTP request to an HTTPS server.", content_type="text/plain"),
            Unavailable,
            "CONNECTION_ERROR",
            "the port speaks TLS",
            id="TLS port",
        ),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", TargetError, "TARGET_ERROR", "the answer is not HTTP", id="SSH"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nETag: a\r\nContent-Length: 9\r\nConnection: close\r\n\r\nx",
            Unavailable,
            None,
            "broke before",
            id="half",
        ),
    ],
)
def test_what_is_wrong_is_told(step: Step, answering: Any, raw: bytes, kind: Any, code: str | None, told: str) -> None:
    server = answering(raw)
    with pytest.raises(kind, match=told) as caught:
        step("get", server.port)

    assert caught.value.code == (code or caught.value.code)
    assert f"GET abc/o at 127.0.0.1:{server.port}: " in str(caught.value)
    assert "topsecret" not in f"{caught.value} {caught.value.hint}"


def test_who_may_not_look_may_still_delete(step: Step, answering: Any) -> None:
    server = answering(answer("403 Forbidden"), answer("204 No Content"))

    assert step("delete", server.port)["deleted"] is None


def test_minio_tells_the_cause_of_a_refused_look(step: Step, answering: Any) -> None:
    told = 'x-minio-error-code: InvalidAccessKeyId\r\nx-minio-error-desc: "no such key id"\r\n'
    server = answering(answer("403 Forbidden", headers=told))
    with pytest.raises(TargetError, match=r"the access key is unknown there: no such key id \(InvalidAccessKeyId\)"):
        step("assert", server.port)


def test_a_server_that_is_not_ready_says_so_without_a_body(step: Step, answering: Any) -> None:
    server = answering(answer("503 Service Unavailable"))
    with pytest.raises(Unavailable, match="the server is not ready") as caught:
        step("assert", server.port)

    assert "try again with retry or eventually" == caught.value.hint


def test_a_put_that_is_answered_by_no_s3_is_not_taken_for_stored(step: Step, answering: Any) -> None:
    with pytest.raises(TargetError, match="not one of S3: it has no ETag") as caught:
        step("put", answering(answer("200 OK")).port, data="x")

    assert "NOT_S3" == caught.value.code


def test_a_refused_connection_is_told(step: Step, unused_port: int) -> None:
    with pytest.raises(Unavailable, match="connection refused"):
        step("get", unused_port)


def test_within_looks_until_it_is_there(step: Step, answering: Any) -> None:
    server = answering(GONE, OK, GONE, GONE, OK)  # object, bucket; neither; object

    assert step("assert", server.port, within="10s")["exists"]
    assert 5 == len(server.seen)


def test_within_ends(step: Step, answering: Any) -> None:
    server = answering(*[GONE, OK] * 50)
    with pytest.raises(StepAssertionError, match="there is no such object") as caught:
        step("assert", server.port, within="200ms")

    assert "still so after" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("action", "config", "piece"),
    [
        ("put", {"data": "x"}, b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("put", {"data": "x"}, b""),
        ("get", {}, b""),
        ("delete", {}, b""),
        ("assert", {}, b""),
    ],
)
def test_a_silent_server_ends_the_step_in_time(
    step: Step, dripping: Any, action: str, config: dict[str, str], piece: bytes
) -> None:
    with pytest.raises(ActionTimeoutError, match=r"timed out after .* waiting for the response headers \(test\)"):
        step(action, dripping(piece=piece).port, Deadline.after(1, "test"), **config)


def test_a_body_that_drips_ends_in_time(step: Step, dripping: Any) -> None:
    server = dripping(start=b"HTTP/1.1 200 OK\r\nETag: a\r\nContent-Length: 9000\r\n\r\n", piece=b"x")
    with pytest.raises(ActionTimeoutError, match="waiting for the rest of the body"):
        step("get", server.port, timeout="1s")


def test_a_file_is_not_left_half_written(step: Step, dripping: Any, tmp_path: Any) -> None:
    (tmp_path / "saved").write_text("before")
    server = dripping(start=b"HTTP/1.1 200 OK\r\nETag: a\r\nContent-Length: 9000\r\n\r\n", piece=b"x")
    with pytest.raises(ActionTimeoutError):
        step("get", server.port, timeout="300ms", file="saved")

    assert {"saved": "before"} == {each.name: each.read_text() for each in tmp_path.iterdir() if each.is_file()}


def test_a_folder_that_is_not_there_is_told(step: Step, answering: Any) -> None:
    with pytest.raises(MeshError, match=r"config.file: cannot write .*no/such"):
        step("get", answering(answer("200 OK", "x", headers=ETAG)).port, file="no/such/file")


def test_ctrl_c_gets_through(step: Step, dripping: Any) -> None:
    server = dripping()
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])

    def get() -> None:
        timer.start()  # on a busy machine it may be over before the step begins
        step("get", server.port, timeout="60s")

    with pytest.raises(KeyboardInterrupt):
        get()
    timer.join()


def test_an_object_without_a_declared_size_is_bounded(
    step: Step, answering: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MAX_BODY_BYTES", 3)
    chunks = b"HTTP/1.1 200 OK\r\nETag: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
    with pytest.raises(TargetError, match="larger than"):
        step("get", answering(chunks).port)


@pytest.mark.parametrize(
    ("path_style", "line"), [(True, "http://s3.invalid/abc/o"), (False, "http://abc.s3.invalid/o")]
)
def test_path_and_virtual_host_style_and_a_proxy(step: Step, answering: Any, path_style: bool, line: str) -> None:
    proxy = answering(answer("200 OK", "x", headers=ETAG))
    options = {"endpoint": "http://s3.invalid", "proxy": f"http://127.0.0.1:{proxy.port}"}
    step("get", proxy.port, path_style=path_style, **options)

    assert [f"GET {line}"] == [each.replace(":80/", "/") for each in _lines(proxy)]
    assert "/s3/aws4_request" in str(_value(proxy.seen[0], "authorization"))


def test_keys_are_masked_and_used(step: Step, steps: Any, answering: Any) -> None:
    server = answering(OK)
    step("assert", server.port, session_token="temporary")

    assert {"topsecret", "temporary"} <= set(steps.secrets)
    assert "temporary" == _value(server.seen[0], "x-amz-security-token")


def test_without_keys_nothing_is_signed(step: Step, answering: Any) -> None:
    server = answering(OK)
    step("assert", server.port, access_key="", secret_key="")

    assert _value(server.seen[0], "authorization") is None


def test_tls_and_its_certificate(step: Step, tls_server: Any, certificate: Any) -> None:
    with pytest.raises(Unavailable, match=r"certificate of .* is not trusted"):
        step("get", tls_server.server_port, use_ssl=True)
    with pytest.raises(Unavailable, match="without an answer"):  # the handshake was fine; it is no S3
        step("get", tls_server.server_port, use_ssl=True, verify_ssl=str(certificate.cert))
