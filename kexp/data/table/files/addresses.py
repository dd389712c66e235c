"""Download files at URLs into the cache. A file that has not changed is not downloaded again."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from kexp.data.table.files.matching import TableFile
from kexp.errors import DataError, without_passwords
from kexp.system.cache_limit import make_room
from kexp.system.folders import cache_folder
from kexp.system.passwords import restore_password

__all__ = ["fetched"]

_TIMEOUT_S = 60.0
_USED = ".used"  # its modification time is that of the last use
_CHANGES = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}  # header of an answer -> of a request


def fetched(file: TableFile) -> TableFile:
    """Return a local copy of a remote file, downloaded again if it has changed.

    Raises:
        DataError: the file does not exist, its server does not answer, or no installed library reads such a URL.
    """
    web = file.path.startswith(("http://", "https://"))
    address = restore_password(file.path, file.key)  # the config of a run has none
    folder = cache_folder() / "fetched" / hashlib.sha256(file.path.encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / _USED).touch()
    make_room(folder.parent, _USED)
    name = Path(urllib.parse.urlsplit(file.path).path).name or "table"
    target = folder / name
    try:
        if web:
            _from_web(address, target)
        else:
            _from_store(address, target)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(without_passwords(f"{file.key}: {file.path} cannot be read: {_reason(error)}")) from None
    return replace(file, path=str(target), called=name)


def _from_web(address: str, target: Path) -> None:
    said = target.with_name(".said")
    address, credentials = _split(address)
    request = urllib.request.Request(address, headers={"User-Agent": "kexp"})  # only http and https come here
    if credentials:
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(credentials.encode()).decode()}")
    if said.is_file() and target.is_file():
        for name, value in json.loads(said.read_text(encoding="utf-8")).items():
            request.add_header(_CHANGES[name], value)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            _keep(answer, target)
            known = {name: answer.headers[name] for name in _CHANGES if answer.headers[name]}
            said.write_text(json.dumps(known), encoding="utf-8")
    except urllib.error.HTTPError as error:
        if error.code != 304:  # not modified
            raise


def _split(address: str) -> tuple[str, str]:
    """Return an address without user and password, and `user:password`."""
    parts = urllib.parse.urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    return (parts._replace(netloc=host).geturl(), urllib.parse.unquote(user)) if at else (address, "")


def _from_store(address: str, target: Path) -> None:
    """Download a file from an object store, with the credentials of the environment."""
    from pyarrow import fs

    if address.startswith(("s3://", "gs://")):
        system, path = fs.FileSystem.from_uri(address)
    else:
        fsspec: Any = importlib.import_module("fsspec")  # with the package of the store, adlfs for az://

        opened, path = fsspec.url_to_fs(address)
        system = fs.PyFileSystem(fs.FSSpecHandler(opened))
    with system.open_input_stream(path, compression=None) as answer:
        _keep(answer, target)


def _keep(answer: Any, target: Path) -> None:
    part = target.with_name(f".part-{os.getpid()}")
    try:
        with open(part, "wb") as out:
            shutil.copyfileobj(answer, out, 1 << 20)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, ImportError):
        return "pip install adlfs for az://, huggingface_hub for hf://"
    reason = getattr(error, "reason", None) or error
    return str(reason).splitlines()[0] if str(reason) else type(error).__name__
