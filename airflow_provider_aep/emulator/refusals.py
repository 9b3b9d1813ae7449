"""What the emulator refuses, in Adobe's codes and shapes."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An answer other than success: HTTP status and JSON body."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(body)
        self.status = status
        self.body = body
        self.headers = headers or {}


def gateway(code: str, message: str) -> Refusal:
    """The gateway's shape; the status is the code's first three digits."""
    return Refusal(int(code[:3]), {"error_code": code, "message": message})


def ims(error: str, description: str) -> Refusal:
    """IMS answers 400 even for wrong credentials."""
    return Refusal(400, {"error": error, "error_description": description})


def flow(code: str, title: str, message: str) -> Refusal:
    """Flow Service: Adobe publishes codes and titles but not the whole envelope, so this carries every known key."""
    status = int(code.rsplit("-", 1)[-1])
    return Refusal(
        status,
        {
            "type": f"http://ns.adobe.com/aep/errors/FLOW-{code}",
            "title": title,
            "status": status,
            "detail": message,
            "errorCode": code,
            "errorMessage": message,
        },
    )


def source(code: int, message: str) -> Refusal:
    """The sources provider: every 13xx code is a 400 titled Bad Request."""
    return flow(f"{code}-400", "Bad Request", message)


def xdm(code: str, title: str, message: str) -> Refusal:
    status = int(code.rsplit("-", 1)[-1])
    return Refusal(
        status,
        {
            "type": f"http://ns.adobe.com/aep/errors/{code}",
            "title": title,
            "status": status,
            "report": {"detailed-message": message, "sub-errors": []},
            "detail": message,
        },
    )


def problem(status: int, title: str, message: str) -> Refusal:
    """The plain shape that Catalog and Data Prep are documented with."""
    return Refusal(status, {"type": "/problem", "status": status, "title": title, "detail": message})
