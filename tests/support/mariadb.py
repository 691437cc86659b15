"""A MariaDB server for tests, where it is installed (Debian: mariadb-server-core, mariadb-client-core)."""

import shutil
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection
from waiting import PATIENCE_SECONDS

PATHS = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin"
READY = "ready for connections"
QUICK = (
    "--innodb-buffer-pool-size=64M",
    "--innodb-doublewrite=0",
    "--innodb-file-per-table=0",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=O_DIRECT_NO_FSYNC",
    "--skip-name-resolve",
)


def find_mariadb() -> str | None:
    """The server's program, if what makes its data is installed too."""
    return shutil.which("mariadbd", path=PATHS) if shutil.which("my_print_defaults", path=PATHS) else None


@contextmanager
def running_mariadb(program: str, folder: Path) -> Iterator[str]:
    """Start a server on a free port of this machine; the URL lacks the name of a database."""
    given = ["--no-defaults", f"--datadir={folder / 'data'}", "--user=root"]
    install = ["mariadb-install-db", *given, "--basedir=/usr", "--auth-root-authentication-method=normal"]
    subprocess.run(install, check=True, capture_output=True)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    address = ("--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder / 'socket'}")
    with subprocess.Popen([program, *given, *address, *QUICK], stderr=subprocess.PIPE, text=True) as process:
        ready, said = threading.Event(), deque[str](maxlen=20)

        def listen() -> None:
            for line in process.stderr or ():
                said.append(line)
                if READY in line:
                    ready.set()

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            assert ready.wait(PATIENCE_SECONDS), "".join(said)
            yield f"mysql+pymysql://root@127.0.0.1:{port}/"
        finally:
            process.terminate()
            listener.join()


def statements_that_copy(connection: Connection) -> list[str]:
    """What makes a database's tables, rows and views again, in an empty one of the same server."""
    database = connection.engine.url.database
    found = [tuple(row) for row in connection.exec_driver_sql("SHOW FULL TABLES")]
    copies = ["SET FOREIGN_KEY_CHECKS = 0"]
    for name in (name for name, kind in found if kind == "BASE TABLE"):
        copies.append(connection.exec_driver_sql(f"SHOW CREATE TABLE `{name}`").one()[1])
        if connection.exec_driver_sql(f"SELECT 1 FROM `{name}` LIMIT 1").first():
            copies.append(f"INSERT INTO `{name}` SELECT * FROM `{database}`.`{name}`")
    views = [name for name, kind in found if kind == "VIEW"]
    made = [connection.exec_driver_sql(f"SHOW CREATE VIEW `{name}`").one()[1] for name in views]
    # One that reads another one comes after it.
    made.sort(key=lambda view: sum(f"`{name}`" in view for name in views))
    return copies + [view.replace(f"`{database}`.", "") for view in made]
