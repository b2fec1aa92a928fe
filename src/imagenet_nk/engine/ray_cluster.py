"""Connecting to a Ray cluster. The address is checked first, because Ray itself would retry for minutes."""

from __future__ import annotations

import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

from imagenet_nk.errors import EngineError
from imagenet_nk.formats.numbers import parse_number
from imagenet_nk.wording import one_line

_CONNECT_TIMEOUT_S = 5.0  # that an address has to accept a connection in
_ANSWER_TIMEOUT_S = 15.0  # and to answer as Ray does
_NAMESPACE = "imagenet_nk"
_MODE = "RAY_AUTH_MODE"
# A read-only gRPC method of a head node, and one of its server for clients.
_HEAD_METHOD, _CLIENT_METHOD = "/ray.rpc.NodeInfoGcsService/CheckAlive", "/ray.rpc.RayletDriver/ClusterInfo"

log = logging.getLogger(__name__)


def require_ray() -> Any:
    """The package. Raises EngineError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent home
    try:
        import ray
    except ImportError as error:
        raise EngineError("engine=ray needs Ray: pip install 'imagenet-nk[ray]'") from error
    return ray


def connect(address: str) -> Any:
    """Ray, connected. Raises EngineError within half a minute if that cannot be."""
    ray = require_ray()
    if ray.is_initialized():
        return ray
    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        _preflight(address)
        ray.init(
            address=address,
            namespace=_NAMESPACE,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"py_modules": [str(Path(__file__).parents[1])], "excludes": ["**/__pycache__"]},
            **options,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise EngineError(connect_error(address, error)) from error
    _log_connection(ray, address)
    return ray


def _log_connection(ray: Any, address: str) -> None:
    resources = ray.cluster_resources()
    log.info(
        "connected to the Ray cluster at %s: %d nodes, %g CPUs, %g GPUs",
        address if ":" in address else ray.get_runtime_context().gcs_address,
        sum(node["Alive"] for node in ray.nodes()),
        resources.get("CPU", 0),
        resources.get("GPU", 0),
    )


def connect_error(address: str, error: Exception) -> str:
    """One line for a cluster that cannot be joined."""
    detail = one_line(error)[:300]
    if "mismatch" in detail.lower():
        versions = f"Python {'.'.join(map(str, sys.version_info[:3]))}, Ray {require_ray().__version__}"
        mismatch = f"runs other versions than this environment ({versions}); install the same: {detail}"
        return f"the Ray cluster at {address} {mismatch}"
    if "authentication" in detail.lower():
        return _refused(address)
    how = "start one (ray start --head), or type engine.address=local for one of this machine"
    if address == "auto":
        return f"no Ray cluster runs here: {how}, or engine.address=HOST:6379 or ray://HOST:10001"
    return f"the Ray cluster at {address} cannot be reached ({detail}): {how}"


# --- before Ray tries


def _preflight(address: str) -> None:
    """Raise OSError if nothing listens at the address, and EngineError if it is not Ray or refuses the connection.

    A token is sent only if the server requires one. Ray finds it by itself for a cluster of this machine, but not for
    an explicit address; this does it for both.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    number = parse_number(port, least=1, most=65535)
    if not host or number is None:
        return
    socket.create_connection((host.strip("[]"), number), timeout=_CONNECT_TIMEOUT_S).close()
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return  # Ray finds the keys by itself
    method = _CLIENT_METHOD if address.startswith("ray://") else _HEAD_METHOD
    status = _grpc_status(f"{host}:{port}", method)
    if status == "UNAUTHENTICATED" and (token := _token()):
        status = _grpc_status(f"{host}:{port}", method, token)
    if status == "UNAUTHENTICATED":
        raise EngineError(_refused(address))
    if status in ("DEADLINE_EXCEEDED", "UNAVAILABLE", "UNIMPLEMENTED"):
        raise EngineError(
            f"what listens at {address} is not Ray, or hangs (it says {status}): type the address of a head node, "
            f"HOST:6379, or that of its server for clients, ray://HOST:10001"
        )


def _grpc_status(target: str, method: str, token: tuple[tuple[str, str], ...] = ()) -> str:
    """The gRPC status of a call: OK or an error."""
    import grpc

    with grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0)]) as channel:  # as Ray has it
        try:
            channel.unary_unary(method)(b"", timeout=_ANSWER_TIMEOUT_S, metadata=token, wait_for_ready=True)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def _token() -> tuple[tuple[str, str], ...]:
    """The HTTP header with Ray's token of this user, which Ray sends from now on. () without one or if disabled."""
    if os.environ.get(_MODE, "token").lower() != "token":
        return ()
    raylet = require_ray()._raylet
    if not hasattr(raylet, "AuthenticationTokenLoader"):
        return ()  # a version without tokens
    loader = raylet.AuthenticationTokenLoader.instance()
    if not loader.has_token(ignore_auth_mode=True):
        return ()
    os.environ[_MODE] = "token"
    raylet.Config.initialize("")  # Ray has read the variable already
    return tuple(loader.get_token_for_http_header().items())


def _refused(address: str) -> str:
    mode = os.environ.get(_MODE)
    which = "here" if address == "auto" else f"at {address}"
    if mode is not None and mode.lower() != "token":
        return f"the Ray cluster {which} wants a token, and {_MODE}={mode} forbids to send one: set {_MODE}=token"
    return (
        f"the Ray cluster {which} wants a token, and there is none here, or another one: copy ~/.ray/auth_token of its "
        f"head node to the same place here, or set RAY_AUTH_TOKEN to what `ray get-auth-token` says there"
    )
