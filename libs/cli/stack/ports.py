"""Are the ports free, and if not, who has them and which variable moves ours."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from libs.common.errors import Conflict


@dataclass(frozen=True)
class PortClaim:
    """One port that a process of the stack wants."""

    port: int
    process: str
    variable: str


def check_ports(claims: Iterable[PortClaim], host: str, port_base: int) -> None:
    """
    Compare the claims with each other and with the machine.

    Raises:
        Conflict: names every port that can't be had.
    """
    claims = list(claims)
    problems = [*_clashes(claims), *_taken(claims, host)]
    if problems:
        advice = f"DR_PORT_BASE (now {port_base}) moves all ports at once."
        raise Conflict("\n".join([*problems, advice]))


def is_free(port: int, host: str) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a server that has just ended are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def owner_of(port: int) -> str:
    """Who listens on the port, as far as this user may know."""
    try:
        connections = psutil.net_connections("inet")
    except psutil.AccessDenied:
        return "another program"
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN
        if listens and connection.pid and connection.laddr and connection.laddr.port == port:
            return _describe(connection.pid)
    return "another program"


def _describe(pid: int) -> str:
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.Error:
        return f"pid {pid}"


def _clashes(claims: list[PortClaim]) -> list[str]:
    first: dict[int, PortClaim] = {}
    problems = []
    for claim in claims:
        other = first.setdefault(claim.port, claim)
        if other is not claim:
            problems.append(
                f"port {claim.port} is claimed by both {other.process} ({other.variable}) "
                f"and {claim.process} ({claim.variable})."
            )
    return problems


def _taken(claims: list[PortClaim], host: str) -> list[str]:
    return [
        f"port {claim.port} is in use by {owner_of(claim.port)}; {claim.process} wants it. "
        f"Free it, or set {claim.variable}."
        for claim in claims
        if not is_free(claim.port, host)
    ]
