"""Single requests for threads that wait for the answer, over the transport that also fetches the images."""

from __future__ import annotations

import threading
import time

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.net.curl_transport import CurlTransport
from imagenet_nk.net.http import Request, Response


class BlockingClient:
    """Sends requests one after the other on each thread; connections are reused. Safe for several threads."""

    def __init__(self, http: HttpConfig) -> None:
        self._http = http
        self._idle: list[CurlTransport] = []
        self._lock = threading.Lock()

    def get(self, request: Request) -> Response:
        """The response; a failure is in its `fault`. Not retried."""
        time.sleep(request.delay)
        with self._lock:
            transport = self._idle.pop() if self._idle else CurlTransport(self._http)
        try:
            transport.submit(request, None)
            while not (responses := transport.poll(1.0)):
                pass
        except BaseException:
            transport.close()
            raise
        with self._lock:
            self._idle.append(transport)
        return responses[0][1]

    def close(self) -> None:
        with self._lock:
            for transport in self._idle:
                transport.close()
            self._idle.clear()
