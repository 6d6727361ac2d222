"""The one table that turns errors of S3 and of its client into ours; those of HTTP are told by ``http.failures``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from pytest_testmesh.errors import ActionConfigError, ActionError, TargetError, TargetUnavailableError
from pytest_testmesh.integrations._failures import UNEXPECTED, Row, chain, default_fact
from pytest_testmesh.integrations.http import failures as http
from pytest_testmesh.integrations.minio.address import SETTING, Address
from pytest_testmesh.integrations.minio.names import Place
from pytest_testmesh.values import one_line, shorten

_LOGIN = "AUTHENTICATION_FAILED"
_SAID = Row(TargetError, "the server said: {said}")
_DENIED = Row(
    TargetError,
    "the server does not allow this{anonymous}: {said}",
    "may this user do that to this bucket and object? where the server says no more, wrong keys look the same",
    "PERMISSION_DENIED",
)
_TOKEN = Row(
    TargetError, "the session token is refused: {said}", "temporary keys expire: get new ones, all three", _LOGIN
)
_REGION = Row(
    TargetError, "the bucket is in another region than {region}: {said}", "write that `region`", "WRONG_REGION"
)
_BUSY = Row(TargetError, "the server has too much to do: {said}", "try again with retry", "SLOW_DOWN")
_NOT_READY = Row(TargetUnavailableError, "the server is not ready: {said}", "try again with retry or eventually")
_GAVE_UP = Row(
    TargetUnavailableError,
    "the server gave the request up: {said}",
    "was it being stopped? MinIO then says so, though nobody disconnected; try again with retry or eventually",
)
_FULL = Row(TargetError, "the server has no room left for this: {said}", "delete what is not needed", "STORAGE_FULL")
_BAD_NAME = Row(ActionConfigError, "the server takes no such name: {said}")
_CHANGED = Row(TargetError, "the data changed on its way: {said}", "a proxy in between may change bodies")
_IN_THE_WAY = Row(
    TargetError, "another object is in the way: {said}", "a server with files below cannot hold both `a` and `a/b`"
)
_NO_SUCH_WAY = Row(TargetError, "the server does not do this: {said}", "is {origin} an S3 API, and not its console?")
_FAILED = Row(TargetError, "the server failed: {said}", "its log may say why")

CODES: Mapping[str, Row] = {
    "AccessDenied": _DENIED,
    "AccountProblem": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AuthorizationHeaderMalformed": _REGION,
    "BadDigest": _CHANGED,
    "BucketAlreadyExists": Row(
        TargetError, "the bucket {bucket} belongs to somebody else: {said}", "choose another name", "BUCKET_EXISTS"
    ),
    "BucketAlreadyOwnedByYou": Row(TargetError, "the bucket {bucket} is there already: {said}", code="BUCKET_EXISTS"),
    "ClientDisconnected": _GAVE_UP,
    "EntityTooLarge": Row(TargetError, "the server takes no object of this size: {said}", code="TOO_LARGE"),
    "ExpiredToken": _TOKEN,
    "IllegalLocationConstraintException": _REGION,
    "IncompleteBody": _CHANGED,
    "InternalError": _FAILED,
    "InvalidAccessKeyId": Row(
        TargetError, "the access key is unknown there: {said}", "is `access_key` one of this server?", _LOGIN
    ),
    "InvalidBucketName": _BAD_NAME,
    "InvalidObjectState": Row(TargetError, "the object is in an archive: {said}", "restore it first"),
    "InvalidRegion": _REGION,
    "InvalidToken": _TOKEN,
    "KeyTooLongError": _BAD_NAME,
    "MetadataTooLarge": Row(ActionConfigError, "there is too much metadata: {said}", "S3 allows 2 KiB"),
    "MethodNotAllowed": _NO_SUCH_WAY,
    "NoSuchBucket": Row(
        TargetError,
        "there is no bucket {bucket}",
        "is the name right? minio.put with `create_bucket: true` makes it",
        "NO_SUCH_BUCKET",
    ),
    "NoSuchKey": Row(
        TargetError,
        "there is no such object",
        "is the name right, upper and lower case too? for one that comes later there is minio.assert with `within`",
        "NO_SUCH_KEY",
    ),
    "NoSuchUpload": Row(TargetError, "the upload was ended by somebody else: {said}", "try again with retry"),
    "NotImplemented": _NO_SUCH_WAY,
    "PermanentRedirect": _REGION,
    "QuotaExceeded": _FULL,
    "Redirect": _REGION,
    "RequestTimeTooSkewed": Row(
        TargetError,
        "the clocks of this machine and of the server differ too much: {said}",
        "S3 allows 15 minutes: set the clock that is wrong",
        "CLOCK_SKEW",
    ),
    "RequestTimeout": Row(TargetUnavailableError, "the server gave up waiting for the data: {said}"),
    "ServiceUnavailable": _NOT_READY,
    "SignatureDoesNotMatch": Row(
        TargetError,
        "the secret key is not accepted: {said}",
        "is `secret_key` the one of this access key? a proxy that changes paths or Host breaks signatures, too",
        _LOGIN,
    ),
    "SlowDown": _BUSY,
    "SlowDownRead": _BUSY,
    "SlowDownWrite": _BUSY,
    "TemporaryRedirect": _REGION,
    "TooManyRequests": _BUSY,
    "XAmzContentSHA256Mismatch": _CHANGED,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "XMinioInvalidObjectName": _BAD_NAME,
    "XMinioObjectExistsAsDirectory": _IN_THE_WAY,
    "XMinioParentIsObject": _IN_THE_WAY,
    "XMinioServerNotInitialized": _NOT_READY,
    "XMinioStorageFull": _FULL,
}
"""By the code of S3's answer.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; X... are MinIO's own.
"""

_NOT_S3 = Row(
    TargetError,
    "the answer is not one of S3: {said}",
    "is {origin} the port of the S3 API, not of the console (9001) or another service?",
    "NOT_S3",
)
_SPEAKS_TLS = Row(TargetUnavailableError, "the port speaks TLS: {said}", "write `use_ssl: true` or https://")

TABLE: Mapping[str, Row] = {
    "InvalidResponseError": _NOT_S3,
    "MinioAdminException": UNEXPECTED,
    "MinioException": UNEXPECTED,
    "S3Error": _SAID,
    "ServerError": _FAILED,
}
"""By the name of the class in ``minio.error``, where there is no code of `CODES`."""

_REFUSED_BY_CLIENT = Row(ActionConfigError, "the client does not send this: {said}")


class NotS3(Exception):
    """An answer that succeeded, and yet cannot be one of S3."""


MAPPED = (MinioException, NotS3, ValueError, ET.ParseError, *http.MAPPED)
"""What asking may raise and `failure` understands; ``ValueError`` is how the client refuses, or cannot read text."""

_NOT_READY_STATUSES = (502, 503, 504)
"""Of answers that are no S3 error: a MinIO that stops says `http: Server closed`, a proxy what it says without one."""

_TLS_PORT = "HTTP request to an HTTPS server"
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What was being done when an error came up, for its text."""

    place: Place
    address: Address
    sending: http.Sending


def failure(exc: Exception, asking: Asking) -> ActionError:
    """Return the error of ours for *exc*: ``GET reports/may.csv at localhost:9000: there is no such object``."""
    if isinstance(exc, http.MAPPED):
        error = http.failure(exc, asking.sending)
        if asking.sending.proxy is None and any(isinstance(each, ConnectionRefusedError) for each in chain(exc)):
            error.hint = f"{error.hint}{default_fact(asking.address.is_default, f'`endpoint` or testmesh_{SETTING}')}"
        return error
    code = error_code(exc)
    row = _other_row(exc) if code is None else CODES.get(code, _SAID)
    facts = {
        "anonymous": " without an access key" * (asking.address.access_key is None),
        "bucket": asking.place.bucket,
        "origin": asking.address.origin,
        "region": asking.address.region,
        "said": _said(exc, code),
    }
    return row.make(asking.sending.what, facts)


def error_code(exc: BaseException) -> str | None:
    """Return S3's code of an error, None where it has none.

    An answer to HEAD has no body; the client guesses its code by the status. MinIO has the true one in a header.
    """
    if isinstance(exc, S3Error):
        return exc.response.headers.get("x-minio-error-code") or exc.code
    if isinstance(exc, InvalidResponseError):
        return _of_xml(exc, "Code")
    return None


def _other_row(exc: BaseException) -> Row:
    if isinstance(exc, ServerError) and exc.status_code == 503:
        return _NOT_READY
    if isinstance(exc, InvalidResponseError) and _parts(exc)[0] in _NOT_READY_STATUSES:
        return _NOT_READY
    if isinstance(exc, InvalidResponseError) and _TLS_PORT in str(exc):
        return _SPEAKS_TLS
    if isinstance(exc, (NotS3, UnicodeDecodeError, ET.ParseError)):
        return _NOT_S3
    if isinstance(exc, ValueError):
        return _REFUSED_BY_CLIENT
    return TABLE.get(type(exc).__name__, UNEXPECTED)


def _said(exc: BaseException, code: str | None) -> str:
    if isinstance(exc, S3Error):
        text = (exc.response.headers.get("x-minio-error-desc") or exc.message or "").strip('"')
        return _shown(f"{text} ({code})" if text else str(code))
    if isinstance(exc, InvalidResponseError):
        if code is not None:
            return _shown(f"{_of_xml(exc, 'Message')} ({code})")
        status, content_type, body = _parts(exc)
        return _shown(f"HTTP {status}, {content_type or 'no content type'}, {body or 'empty'}")
    return _shown(str(exc) or type(exc).__name__)


def _shown(text: str) -> str:
    return shorten(one_line(text).rstrip("."), _SHOWN)


def _of_xml(exc: InvalidResponseError, name: str) -> str | None:
    """Read an S3 error that came under another content type than ``application/xml``, as some servers send it."""
    body = _parts(exc)[2] or ""
    if "<Error>" not in body and "<Error " not in body:
        return None
    try:
        found = ET.fromstring(body).find(f"{{*}}{name}")
    except ET.ParseError:
        return None
    return None if found is None else found.text


def _parts(exc: InvalidResponseError) -> tuple[int, str | None, str | None]:
    """Return status, content type and body, for which the class has no other public names."""
    parts: tuple[int, str | None, str | None] = exc.__reduce__()[1]  # type: ignore[no-untyped-call]
    return parts
