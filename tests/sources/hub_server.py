"""A loopback server that speaks as much of the Hugging Face hub's API as its own client asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from urllib.parse import unquote

from sources.web import Answer, Asked, Web, ranged, web

COMMIT = "c" * 40


@dataclass
class Hub:
    """One data set repository; `files` may change while it serves."""

    repo: str
    files: dict[str, bytes]
    web: Web
    card: Mapping[str, object] = field(default_factory=dict)
    gated: bool = False
    token: str = ""  # that opens a gated set
    cut: int | None = None  # bytes of a file that are sent before the connection ends
    spoil: Callable[[int, bytes], bytes] = lambda number, body: body  # what comes of the n-th answer with file bytes
    sent: int = 0  # such answers

    @property
    def endpoint(self) -> str:
        return self.web.base

    def fetched(self) -> dict[str, int]:
        """Bytes sent of each file."""
        sent: dict[str, int] = {}
        for asked in self.web.asked:
            name = unquote(asked.path).partition(f"/resolve/{COMMIT}/")[2]
            if name and asked.method == "GET":
                sent[name] = sent.get(name, 0) + asked.sent
        return sent

    def answer(self, asked: Asked, headers: dict[str, str]) -> Answer:
        path = unquote(asked.path).partition("?")[0]
        api = f"/api/datasets/{self.repo}"
        if not path.startswith((api, f"/datasets/{self.repo}")):
            return fault(401, "RepoNotFound", "Repository Not Found")
        allowed = not self.gated or (self.token and headers.get("authorization") == f"Bearer {self.token}")
        if path.endswith("/auth-check") or path.startswith("/datasets"):
            if not allowed:
                code = 403 if headers.get("authorization") else 401
                return fault(code, "GatedRepo", f"Access to dataset {self.repo} is restricted.")
            return Answer(200, b"{}") if path.endswith("/auth-check") else self.resolve(path, asked)
        if (match := re.match(rf"{api}/revision/([^/]+)\Z", path)) or path == api:
            if match and match[1] not in ("main", COMMIT):
                return fault(404, "RevisionNotFound", "Invalid rev id")
            siblings: list[dict[str, object]] = [{"rfilename": name} for name in self.files]
            if "blobs=True" in asked.path or "blobs=true" in asked.path:
                for sibling, data in zip(siblings, self.files.values(), strict=True):
                    sibling["lfs"] = {"sha256": digest(data), "size": len(data), "pointerSize": 130}
            about = {"id": self.repo, "sha": COMMIT, "siblings": siblings, "gated": "auto" if self.gated else False}
            return reply({**about, "private": False, "tags": [], "downloads": 0, "cardData": self.card or None})
        if match := re.match(rf"{api}/(?:tree|paths-info)/{COMMIT}", path):
            return reply([self.entry(name) for name in self.files])
        return fault(404, "EntryNotFound", f"no answer to {path}")

    def entry(self, name: str) -> dict[str, object]:
        data = self.files[name]
        return {"type": "file", "path": name, "size": len(data), "oid": digest(data)[:40]}

    def resolve(self, path: str, asked: Asked) -> Answer:
        name = path.partition(f"/resolve/{COMMIT}/")[2]
        if name not in self.files:
            return fault(404, "EntryNotFound", "Entry not found")
        data = self.files[name]
        answer = ranged(data, asked, etag=f'"{digest(data)}"')
        answer.headers["X-Repo-Commit"] = COMMIT
        if asked.method == "GET":
            answer.body, self.sent = self.spoil(self.sent, answer.body), self.sent + 1
        if self.cut is not None and asked.method == "GET":
            answer.length, answer.body = len(answer.body), answer.body[: self.cut]
        return answer


@cache
def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def reply(content: object) -> Answer:
    return Answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})


def fault(status: int, code: str, message: str) -> Answer:
    return Answer(status, json.dumps({"error": message}).encode(), {"X-Error-Code": code, "X-Error-Message": message})


@contextmanager
def hub(repo: str, files: dict[str, bytes]) -> Iterator[Hub]:
    with web() as server:
        place = Hub(repo, files, server)
        server.answer = lambda asked, headers: place.answer(asked, {k.lower(): v for k, v in headers.items()})  # type: ignore[method-assign]
        yield place
