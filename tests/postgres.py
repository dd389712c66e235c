"""A PostgreSQL server of a test's own, from the programs that Debian's package `postgresql` installs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from servers import free_port

__all__ = ["DATABASE_PASSWORD", "Postgres", "postgres", "programs"]

DATABASE_PASSWORD = "staple.of-the-database"


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`: on the path, or where Debian puts them; None where there is none."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name), default=None)


class Postgres:
    """A database that can be stopped and started again, as by its machine's restart."""

    def __init__(self, folder: Path, user: str | None) -> None:
        self._bin, self._data, self._user = programs(), folder / "data", user
        if self._bin is None:
            raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
        self.port = free_port()
        password = folder / "password"
        password.write_text(DATABASE_PASSWORD)
        self._call("initdb", "-D", str(self._data), "-U", "kexp", "-A", "scram-sha-256", f"--pwfile={password}")
        options = f"port={self.port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{folder}'\nfsync=off\n"
        with open(self._data / "postgresql.conf", "a") as settings:
            settings.write(options)
        self.start()
        self.uri = f"postgresql+psycopg2://kexp:{DATABASE_PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self._call("pg_ctl", "-D", str(self._data), "-w", "-l", str(self._data / "log"), "start")

    def stop(self) -> None:
        """Ends it at once; sessions that are open are told nothing."""
        self._call("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop")

    def _call(self, program: str, *arguments: str) -> None:
        assert self._bin is not None
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            check=False,
            user=self._user,
            cwd=self._data.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server until the end of the block. It refuses to run as root, and runs as `nobody` then."""
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="kexp-postgres-") as name:
        if user is not None:
            shutil.chown(name, user)
        running = Postgres(Path(name), user)
        try:
            yield running
        finally:
            with contextlib.suppress(RuntimeError):  # a test has stopped it
                running.stop()
