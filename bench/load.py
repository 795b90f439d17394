"""A load generator in a process of its own, on loopback: every connection asks, waits for the answer, asks again.

Reads a job as JSON from standard input and writes what it saw as JSON to standard output:

    {"port": 8000, "core": 1, "requests": [...], "connections": 32, "warm": 100, "count": 5000, "seconds": 3}
    {"latencies": [seconds …], "rate": answers per second, "statuses": {"200": 5000}}

Requests are sent in turn, from the first again when they end. It stops after `count` answers or `seconds`, whichever
comes first; the first `warm` answers are left out.
"""

import json
import os
import select
import socket
import sys
from time import perf_counter
from typing import Any


class Connection:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answer = b""

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self._answer = b""
        self.sent = perf_counter()
        self.socket.sendall(request)

    def answered(self) -> bytes | None:
        """The status of the answer once all of it is here. Raises ConnectionError where it never will be."""
        received = self.socket.recv(1 << 18)
        if not received:
            raise ConnectionError("the server closed the connection")
        self._answer = answer = self._answer + received
        end = answer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = answer[:end].lower()
        _, _, rest = head.partition(b"content-length: ")
        return head[9:12] if len(answer) >= end + 4 + int(rest.partition(b"\r\n")[0]) else None


def driven(
    port: int, requests: list[bytes], connections: int, warm: int, count: int, seconds: float
) -> dict[str, Any]:
    poll = select.epoll()
    open_connections = {}
    for place in range(connections):
        connection = Connection(port)
        open_connections[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
        connection.ask(requests[place % len(requests)])
    asked, seen = connections, 0
    latencies: list[float] = []
    statuses: dict[str, int] = {}
    started = perf_counter()
    # The time counts from the last answer that is left out; a server that gives none is given up at some point.
    end = started + 60
    while seen < warm + count and perf_counter() < end:
        for number, _ in poll.poll(1.0):
            connection = open_connections[number]
            status = connection.answered()
            if status is None:
                continue
            now = perf_counter()
            seen += 1
            if seen == warm:
                started = now
                end = now + seconds
            elif seen > warm:
                latencies.append(now - connection.sent)
            name = status.decode()
            statuses[name] = statuses.get(name, 0) + 1
            connection.ask(requests[asked % len(requests)])
            asked += 1
    spent = perf_counter() - started
    for connection in open_connections.values():
        connection.socket.close()
    return {"latencies": latencies, "rate": len(latencies) / spent, "statuses": statuses}


def main() -> None:
    job = json.load(sys.stdin)
    os.sched_setaffinity(0, {job.pop("core")})
    job["requests"] = [request.encode() for request in job["requests"]]
    json.dump(driven(**job), sys.stdout)


if __name__ == "__main__":
    main()
