"""What a test does with an emulator that runs in its own process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow_provider_aep.emulator import snapshots
from airflow_provider_aep.emulator.admin import advance
from airflow_provider_aep.emulator.faults import Rule
from airflow_provider_aep.emulator.service import READS_BY_POST, World


class AepEmulator:
    """A running emulator.

    :param url: of IMS and of the platform alike
    :param lake: folder of what was ingested: ``<org>/<sandbox>/<dataset id>/<batch id>.parquet``
    :param sandbox: the one that :meth:`connection` names
    """

    def __init__(self, url: str, world: World, lake: Path, sandbox: str = "dev") -> None:
        self.url, self.world, self.lake, self.sandbox = url, world, lake, sandbox

    # -- what happened ----------------------------------------------------------------------------------------------

    def requests(
        self, operation: str = "*", *, method: str = "*", sandbox: str = "*", status: int | None = None
    ) -> list[dict[str, Any]]:
        """The journal, oldest first; ``*`` stands for anything: ``requests("POST */flows")``."""
        return self.world.store.journal(operation=operation, method=method, sandbox=sandbox, status=status)

    def writes(self) -> list[str]:
        """Operations that were no reads, apart from the token's: an empty list proves that nothing was changed."""
        return [
            e["operation"]
            for e in self.requests()
            if e["method"] != "GET" and e["operation"] != "POST token" and not e["operation"].endswith(READS_BY_POST)
        ]

    # -- what is to happen ------------------------------------------------------------------------------------------

    def fault(self, operation: str, do: str, **rule: Any) -> None:
        """Let something go wrong, as ``POST /_emulator/faults`` does.

        :raises pydantic.ValidationError: there is no such rule
        """
        self.world.faults.add(Rule.model_validate({"operation": operation, "do": do, **rule}))

    def unfired(self) -> list[str]:
        """The rules that never fired: a test of what happens then has shown nothing."""
        return [f"{r['do']} at {r['operation']}" for r in self.world.faults.report() if not r["fired"]]

    def freeze(self, at: float | None = None) -> None:
        """Stop the clock, now or at a moment in seconds since the epoch; nothing happens by itself until it goes on."""
        with self.world.commanding, self.world.stepping:
            self.world.clock.freeze(at)

    def advance(self, seconds: float) -> None:
        """Move the frozen clock on; what is due on the way happens at its own moment.

        :raises ValueError: it is not frozen
        """
        if not self.world.clock.frozen:
            raise ValueError("Only a frozen clock can be advanced: freeze() it first")
        advance(self.world, seconds)

    def thaw(self) -> None:
        self.world.clock.thaw()

    # -- state ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Everything there is, as a document that can be committed."""
        return snapshots.taken(self.world)

    def load(self, document: dict[str, Any]) -> None:
        """:raises snapshots.BadSnapshot: it is none, or of a newer emulator"""
        snapshots.restore(self.world, document)

    def reset(self) -> None:
        self.world.reset()

    # -- how Airflow gets here --------------------------------------------------------------------------------------

    def connection(self, **changes: Any) -> dict[str, Any]:
        """An Airflow connection that knows this emulator; ``None`` leaves a field out."""
        options = self.world.options
        first = next(iter(self.world.credentials.values()))
        extra = {
            "org_id": options.org_id,
            "sandbox": self.sandbox,
            "ims_url": self.url,
            **changes.pop("extra", {}),
        }
        fields = {
            "conn_type": "aep",
            "login": first.client_id,
            "password": first.client_secret,
            "host": self.url,
            "extra": {k: v for k, v in extra.items() if v is not None},
            **changes,
        }
        return {k: v for k, v in fields.items() if v is not None}

    def environment(self, systems: tuple[str, ...] = ()) -> dict[str, str]:
        """Variables that give Airflow the connection ``aep_default``, and a login for each source system."""
        found = {"AIRFLOW_CONN_AEP_DEFAULT": json.dumps(self.connection())}
        login = {"conn_type": "http", "host": "https://source.example", "login": "any", "password": "any password",
                 "extra": {"apiVersion": "60.0"}}  # fmt: skip
        for system in systems:
            found[f"AIRFLOW_CONN_AEP_{system.upper().replace('-', '_')}"] = json.dumps(login)
        return found
