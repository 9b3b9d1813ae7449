"""Takes out one safety step after the other, and says which test notices: ``make safety``.

Each step is taken out in a copy of the project, in which the tests of the engine are run until one is red.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENGINE = "airflow_provider_aep/onboarding/ensure.py"
RUNS = "airflow_provider_aep/onboarding/on_demand.py"
WAITS = "airflow_provider_aep/onboarding/wait.py"
KINDS = "airflow_provider_aep/onboarding/kinds.py"
SUCCESSION = "airflow_provider_aep/onboarding/succession.py"
CLIENT = "airflow_provider_aep/client/client.py"
TEARDOWN = "airflow_provider_aep/onboarding/teardown.py"

STEPS = [
    ("look before a create", ENGINE, "else (self._remembered() or self._find())", "else self._remembered()"),
    ("compare names exactly", ENGINE, "if f.name == self.name and f.id not in", "if f.id not in"),
    ("suspect a second try", ENGINE, "if self.attempt.tried_before and not note:", "if False:"),
    ("suspect what was noted as sent", ENGINE, 'if "sent" in note:', "if False:"),
    ("wait on suspicion", ENGINE, "            self._wait_until(since + self.attempt.settle)\n            there =", "            there ="),
    ("look again after the wait", ENGINE, "settle)\n            there = self._find()", "settle)\n            there = None"),
    ("note before a create", ENGINE, "announce=lambda: self._remember(sent=self.client.server_now())", "announce=None"),
    ("note what was made", ENGINE, "self._remember(id=id_)", "pass"),
    ("distrust a note of what is gone", ENGINE, "except AepNotFoundError:\n            return None", "except KeyError:\n            return None"),
    ("distrust a note of what was renamed", ENGINE, "return found if found.name == self.name and", "return found if"),
    ("never resend a create", CLIENT, "if call.safety is not Safety.CREATE:\n            return cause", "if True:\n            return cause"),
    ("wait after a lost answer", ENGINE, "self.client.clock.sleep(self.attempt.settle)\n            if there :=", "if there :="),
    ("look after a lost answer", ENGINE, "if there := self._find():\n                outcome", "if there := None:\n                outcome"),
    ("a taken title may be ours", ENGINE, "(AepAnswerLostError, AepConflictError) as e", "AepAnswerLostError as e"),
    ("stop at several of a name", ENGINE, "        if len(there) > 1:\n            ids", "        if len(there) > 9:\n            ids"),
    ("tell ours by the marker", ENGINE, "found.marker.identity == self.me.identity)", "True)"),
    ("touch nothing that is not ours", ENGINE, "if drifted and not ours and not taken:", "if False:"),
    ("keep the marker in a change", ENGINE, "marker, paths = taken_by or found.marker, list(drifted)", "marker, paths = taken_by, list(drifted)"),
    ("mark what is taken over", ENGINE, "self.me if taken else None", "None"),
    ("fail only at what another made", ENGINE, "found.marker != self.me and self.kind.sign:", "self.kind.sign:"),
    ("wait for what is being deleted", ENGINE, "found.state != GOING or not gone(self.client, self.kind, found)", "found.state != GOING"),
    ("wait for a passing state", WAITS, "while found.state not in _STABLE:", "while False:"),
    ("refuse a disabled flow", ENGINE, 'if found.state == "disabled" and not (self', 'if False and not (self'),
    ("finish a draft of ours", ENGINE, 'if found.state == "draft" and not self.wanted.get("draft") and self.kind.publish:', "if False:"),
    ("leave another's draft", ENGINE, 'if found.state == "draft" and not ours and', "if False and"),
    ("read a stale etag again", ENGINE, "stop_after_attempt(2)", "stop_after_attempt(1)"),
    ("leave a set that another flow uses", ENGINE, "self.kind.guard(self.client, found)", "pass"),
    ("find a set through its flow", ENGINE, "or [f for f in self.kind.elsewhere(self.client) if self._still_there(f)]", ""),
    ("count a start from the create", KINDS, "start = max(math.ceil(now + later + 60", "start = max(math.ceil(0 * now + later + 60"),
    ("among writers, wait and look again", ENGINE, "if not self.attempt.concurrent_writers:\n                    return", "if True:\n                    return"),
    ("among writers, the eldest counts", ENGINE, "key=lambda f: (f.created, f.id))", "key=lambda f: (-f.created, f.id))"),
    ("among writers, distrust what is young", ENGINE, "if age < self.attempt.settle:", "if False:"),
    ("among writers, a flow is a draft first", ENGINE, "as_draft = self.attempt.concurrent_writers and", "as_draft = False and"),
    ("without drafts, start later", ENGINE, "self.kind.born(body, now, 3 * self.attempt.settle)", "self.kind.born(body, now, 0)"),
    ("remove what lost", ENGINE, "self.client.send(remove(settled(self.client, self.kind, other).id))", "pass"),
    ("remove one's own only", ENGINE, "if remove is None or not mine or self._in_use(other):", "if remove is None or self._in_use(other):"),
    ("remove nothing that holds rows", ENGINE, "bool(idle and not self.client.send(idle(found.id)))", "False"),
    ("remove nothing that something stands on", ENGINE, "or bool(user_of(self.client, self.kind, found))", ""),
    ("remove nothing in use", ENGINE, "except AepInvalidRequestError:  # in use", "except KeyError:"),
    ("put aside before making anew", ENGINE, "renamed = _STALE_ONCE(self._put_aside, found.id)", "renamed = True"),
    ("mark anew what is put aside", ENGINE, "own = identity(self.client.settings, self.kind.label, at(found.fields, self.kind.scope), name)", "own = self.me.identity"),
    ("replace only what is ours", ENGINE, "if terms.replace and ours and", "if terms.replace and"),
    ("no backfill after a replacement", SUCCESSION, '"backfill": False}', '"backfill": True}'),
    ("rest before a replacement", SUCCESSION, 'if found.state == "enabled":', "if False:"),
    ("wait for a run before a replacement", SUCCESSION, "while any(judge(run).verdict", "while 0 and any(judge(run).verdict"),
    ("take nothing again that ran once", SUCCESSION, 'if wanted["runs"] == "once" and any', "if 0 and any"),
    ("among writers, distrust what was noted", ENGINE, "(self._find() or self._remembered()) if among else", "(self._remembered() or self._find()) if among else"),
    ("among writers, a stranger's does not count", ENGINE, "self.attempt.concurrent_writers) and all(map(self._ours, there)):", "self.attempt.concurrent_writers):"),
    ("publish no draft whose start has passed", ENGINE, "if late := self.kind.revive(", "if late := 0 and self.kind.revive("),
    ("give a draft the time it takes to win", ENGINE, "self.kind.born(body, now, self.attempt.settle)", "self.kind.born(body, now, 0)"),
    ("create nothing again after a taken title", ENGINE, "if isinstance(failure, AepConflictError):", "if False:"),
    ("pass over a set that is nobody's", ENGINE, "and not self._left_over(f)]", "]"),
    ("a blank is no change", ENGINE, 'text.rstrip()}  # as', 'text}  # as'),
    ("find through the flow only what has no name", KINDS, "if not found.name:", "if True:"),
    ("wait for what was made a moment ago", TEARDOWN, "    if missing:", "    if False:"),
    ("delete exact names only", TEARDOWN, "if f.name == name]", "]"),
    ("tell the parts of another onboarding", TEARDOWN, "if is_part(kind, found)]", "]"),
    ("after a put-aside, suspect an earlier try", ENGINE, 'self._note().get("sent", None if renamed else self.client.server_now())', "None"),
    ("no backfill, whatever name is listed", SUCCESSION, "and f.marker} | replaced", "and f.marker}"),
    ("ask again once the run has ended", SUCCESSION, "[found.id])  # the run that was under way", "[])"),
    ("a set may still be a replaced flow's", KINDS, "if not (f.name != before(f.name) and unsigned(f.description)[1])]", "]"),
    ("suspect a run whose notes are lost", RUNS, "if attempt.tried_before and not note:", "if False:"),
    ("pass over a run that has failed", RUNS, "next((run for run in runs if not _failed(run)), None)", "next(iter(runs), None)"),
    ("note before a run", RUNS, "_remember(attempt, flow=flow.id, sent=left[-1], params=dict(params))", "pass"),
    ("note what run was made", RUNS, "_remember(attempt, flow=flow.id, id=made.id)", "pass"),
    ("look for a run on suspicion", RUNS, "    if since is not None:\n        there", "    if False:\n        there"),
    ("look for a run after a lost answer", RUNS, "there = _found(client, attempt, flow, params, left[0], False, left[-1])", "there = None"),
    ("wait for a run to be listed", RUNS, "        if wait > 0:", "        if False:"),
    ("tell runs by their window", RUNS, "and young and start == wanted[0] and (open_end or end == wanted[1])", "and young"),
    ("tell runs by their moment", RUNS, "young = run.createdAt >= since * _SECOND - _SECOND", "young = True"),
    ("start no second run on a guess", RUNS, '            if there is None and on_ambiguous == "fail":\n                raise _uncertain(flow) from None', "            pass"),
    ("delete only what is ours", TEARDOWN, "if found.marker is None or found.marker.identity != own:", "if False:"),
    ("delete nothing that others use", TEARDOWN, "if user := user_of(client, kind, found, besides=ids):", "if user := 0:"),
    ("delete nothing in production", TEARDOWN, "!= \"development\" and not allowed:", "== 0:"),
    ("delete nothing by a wrong id", TEARDOWN, "if name is not None and found.name != name:", "if False:"),
    ("leave what is in Profile", TEARDOWN, 'if found.fields.get("union"):', "if False:"),
    ("disable a flow first", TEARDOWN, 'if kind is kinds.FLOW and found.state == "enabled":', "if False:"),
]  # fmt: skip


def taken_out(step: tuple[str, str, str, str]) -> str:
    """The test that is red without a step; empty if none is."""
    _, file, old, new = step
    with tempfile.TemporaryDirectory(prefix="safety-") as folder:
        copy = Path(folder) / "project"
        ignored = shutil.ignore_patterns(".*", "site", "mutants", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=ignored)
        (copy / file).write_text((copy / file).read_text().replace(old, new))
        tests = ["tests/provider/test_teardown.py"] if file == TEARDOWN else ["tests/onboarding"]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:warnings", *tests]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        red = re.search(r"^(?:FAILED|ERROR) \S*?(\w+\.py)::(\w+)", done.stdout, re.MULTILINE)
        return f"{red[1]} {red[2]}" if red else ""


def main() -> None:
    if moved := [name for name, file, old, _ in STEPS if (ROOT / file).read_text().count(old) != 1]:
        raise SystemExit(f"The code of these is not where it was: {'; '.join(moved)}")
    red: dict[str, str] = {}
    with ThreadPoolExecutor(2) as pool:
        for (name, *_), test in zip(STEPS, pool.map(taken_out, STEPS), strict=True):
            red[name] = test
            print(f"{name:42} {test or 'NOTHING NOTICED'}", flush=True)
    survived = [name for name, test in red.items() if not test]
    print(f"{len(red) - len(survived)} of {len(red)} steps are noticed when they are taken out")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
