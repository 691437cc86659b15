"""Optuna's gRPC proxy: many workers share its few connections for what Optuna stores.

It has no password: anyone who reaches its address can change every study.
"""

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gradstudy.storage.errors import ExtraMissingError, UnavailableError
from gradstudy.storage.optuna_internals import make_proxy_server

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, GrpcStorageProxy

SECONDS_TO_ANSWER = 20.0
"""How long a worker that starts waits for its proxy."""

THREADS = 10
"""Requests that are answered at the same time; what Optuna takes."""


def connect_proxy(address: str) -> "GrpcStorageProxy":
    """Optuna's storage behind a proxy.

    Args:
        address: ``HOST:PORT``.

    Raises:
        ExtraMissingError: grpcio is not installed.
        UnavailableError: nothing answers there.
    """
    _require_grpc()
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import GrpcStorageProxy

    host, port = _split(address)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        proxy = GrpcStorageProxy(host=host, port=port)
    try:
        proxy.wait_server_ready(SECONDS_TO_ANSWER)
    except ConnectionError:
        proxy.close()
        raise UnavailableError(f"no proxy of Optuna's answers at {address}") from None
    return proxy


@contextmanager
def serving_proxy(storage: "BaseStorage", address: str) -> Iterator[None]:
    """Run a proxy in front of a storage until the block ends; requests in progress are answered.

    Raises:
        ExtraMissingError: grpcio is not installed.
        UnavailableError: the address cannot be listened on.
    """
    _require_grpc()
    host, port = _split(address)
    with ThreadPoolExecutor(THREADS, "optuna-proxy") as threads:
        try:
            server = make_proxy_server(storage, host, port, threads)
        except RuntimeError as error:
            raise UnavailableError(f"cannot listen on {address} for Optuna's proxy") from error
        server.start()
        try:
            yield
        finally:
            server.stop(grace=SECONDS_TO_ANSWER).wait()


def unanswered_by_proxy() -> tuple[type[Exception], ...]:
    """What a proxy that does not answer raises."""
    if find_spec("grpc") is None:
        return ()
    import grpc

    return (grpc.RpcError,)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _require_grpc() -> None:
    if find_spec("grpc") is None:
        raise ExtraMissingError('Optuna\'s proxy needs grpcio; install it with: pip install "gradstudy[grpc]"')
