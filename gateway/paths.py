"""What a path may not contain: a request's own, and those that its query and its JSON name.

A path is judged decoded as often as it can be, because every server behind us decodes once more than we know of, and
it is forwarded exactly as it came. What names an artifact keeps stricter rules (``check_name``): there MLflow joins the
text with a directory or the key of a bucket, and ``;`` and ``#`` end a path for the parsers it has used to check that.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote_to_bytes

from gateway.errors import BadRequestError, RequestTargetTooLongError

MAX_TARGET = 65_000
"""Bytes of path and query; MLflow's searches reach 14 kB. httptools itself gives up at 65,535 with a bare 400."""

MAX_PATH = 4096
"""Bytes of one path that names artifacts, as file systems have it; and characters of a target that may be encoded."""

_MAX_DECODINGS = 8
_MAX_PARAMETERS = 100
_ARTIFACT = re.compile(rb"/mlflow-artifacts/(?:artifacts|presigned|mpu/[a-z]+)/(?P<name>.*)", re.DOTALL)
_REFUSED = re.compile(rb"[\\\0;#]")
_REFUSED_IN_NAME = re.compile(rb"[\\\0-\x1f]")
_REFUSED_IN_URI = re.compile(rb"[\\\0-\x1f;#]")
_ABSOLUTE = re.compile(rb"/|[a-z]:/|file:", re.IGNORECASE)
_SCHEME = re.compile(rb"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_PROMPT_SOURCES = frozenset({b"dummy-source", b"prompt-template"})
_URI_SEPARATORS = re.compile(rb"[/;#?]")
_NOT_A_PATH = frozenset({"name", "page_token"})
"""Query parameters of artifact routes that a store looks up and no path is made of; a model's name may hold ``;``."""


def check_target(raw_path: bytes, query: bytes) -> None:
    """Raises BadRequestError or RequestTargetTooLongError."""
    if len(raw_path) + len(query) > MAX_TARGET:
        raise RequestTargetTooLongError(f"The request's path and query are longer than {MAX_TARGET} bytes.")
    if not raw_path.startswith(b"/"):
        raise BadRequestError("The request's path does not start with a slash.")
    if b"%" not in raw_path and b".." not in raw_path and b"\\" not in raw_path:
        return
    if raw_path.count(b"%") > MAX_PATH:
        raise BadRequestError(f"The request's path has more than {MAX_PATH} percent-encoded characters.")
    path = _decoded(raw_path)
    if b"\\" in path or b"\0" in path:
        raise BadRequestError("The request's path contains a backslash or a NUL.")
    if b".." in path.split(b"/"):
        raise BadRequestError("The request's path contains '..'.")


def check_artifact_target(path: bytes, query: bytes) -> None:
    """The path (below the mount) and query of a request for artifacts. Raises BadRequestError."""
    whole = _decoded(path)
    if _REFUSED.search(whole):
        raise BadRequestError("The request's path contains ';', '#', a backslash or a NUL.")
    if found := _ARTIFACT.search(unquote_to_bytes(path)):
        check_name(found["name"], "the request's path")
    for key, value in _parameters(query):
        if key not in _NOT_A_PATH:
            check_name(value.encode("latin-1"), "the query")


def _parameters(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError:
        raise BadRequestError(f"The request's query has more than {_MAX_PARAMETERS} parameters.") from None


def check_name(value: bytes, where: str, *, absolute: bool = False) -> None:
    """One artifact's path, relative unless ``absolute``; ``where`` is for the message. Raises BadRequestError."""
    path = _decoded_name(value, where)
    if _REFUSED.search(path) or b".." in path.split(b"/"):
        raise BadRequestError(f"A path in {where} contains '..', ';', '#', a backslash or a NUL.")
    if not absolute and _ABSOLUTE.match(path):
        raise BadRequestError(f"A path in {where} is absolute; it has to be below the run's or model's artifacts.")


def check_location(value: bytes, where: str) -> None:
    """A place where artifacts are, as a URI: no step up, and nothing a parser takes for the end of its path.

    The name of a model in ``models:/`` is looked up, so it may hold what a name may hold. Raises BadRequestError.
    """
    uri = _decoded_name(value, where)
    refused = _REFUSED_IN_NAME if uri.startswith(b"models:/") else _REFUSED_IN_URI
    if refused.search(uri) or b".." in _URI_SEPARATORS.split(uri):
        raise BadRequestError(f"A location in {where} contains '..', ';', '#', a backslash or a NUL.")


def check_source(value: bytes, where: str) -> None:
    """Where a model version's files are: a location, and none of MLflow's own disk.

    No client behind this service can have put anything there, and MLflow before 3.17 serves any of its files that is
    registered as a prompt's. A prompt has no files, and one of two words for a source.
    """
    check_location(value, where)
    if value not in _PROMPT_SOURCES and _is_local(value):
        raise BadRequestError(f"The source in {where} is a local path; name artifacts by their runs:/ or models:/ URI.")


def refuse_local(value: bytes, where: str) -> None:
    """A location, which check_location has passed, on MLflow's own disk: whoever may write to an experiment would write
    there, past the root MLflow keeps its artifacts below. Raises BadRequestError.
    """
    if _is_local(value):
        raise BadRequestError(
            f"The location in {where} is a directory of MLflow's own disk. Leave it out, or name a store such as "
            "s3://; the operator can allow directories in GATEWAY_LOCAL_ARTIFACTS."
        )


def _is_local(value: bytes) -> bool:
    """As MLflow sees it: no scheme, or that of files. Nothing at all is no place."""
    uri = _decoded(value)
    return bool(value) and (not _SCHEME.match(uri) or _ABSOLUTE.match(uri) is not None)


def _decoded_name(value: bytes, where: str) -> bytes:
    if len(value) > MAX_PATH:
        raise BadRequestError(f"A path in {where} is longer than {MAX_PATH} bytes.")
    return _decoded(value)


def _decoded(path: bytes) -> bytes:
    for _ in range(_MAX_DECODINGS):
        once = unquote_to_bytes(path)
        if once == path:
            return path
        path = once
    raise BadRequestError("The request's path is percent-encoded too many times over.")
