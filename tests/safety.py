"""Takes out one safety step after the other, and says which test notices: ``make safety``.

Each step is taken out in a copy of the project, in which the tests of the engine are run until one is red. With words
after it (``make safety ARGS="run window"``), only the steps that have one of them in their name.
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
WATCH = "airflow_provider_aep/onboarding/watch.py"
WINDOW = "airflow_provider_aep/onboarding/window.py"
KINDS = "airflow_provider_aep/onboarding/kinds.py"
SUCCESSION = "airflow_provider_aep/onboarding/succession.py"
CLIENT = "airflow_provider_aep/client/client.py"
TEARDOWN = "airflow_provider_aep/onboarding/teardown.py"

RUN_FLOW = ["tests/onboarding/test_on_demand.py", "tests/provider/test_run_flow.py"]

STEPS = [
    ("look before a create", ENGINE, "else (self._remembered() or self._find())", "else self._remembered()"),
    ("compare names exactly", ENGINE, "if f.name == self.name and f.id not in", "if f.id not in"),
    ("suspect a second try", ENGINE, "if self.attempt.tried_before and not note:", "if False:"),
    ("suspect what was noted as sent", ENGINE, 'if "sent" in note:', "if False:"),
    ("wait on suspicion", ENGINE, "            wait_until(self.client, since + self.attempt.settle, self.attempt.settle)\n            there =", "            there ="),
    ("look again after the wait", ENGINE, "settle)\n            there = self._find()", "settle)\n            there = None"),
    ("note before a create", ENGINE, "announce=self._announce", "announce=None"),
    ("note what was made", ENGINE, "self.note.write(id=id_, sent=self.sent)", "pass"),
    ("distrust a note of what is gone", ENGINE, "except AepNotFoundError:\n            return None", "except KeyError:\n            return None"),
    ("suspect what is noted and cannot be read", ENGINE, "self.note.write(id=id_, sent=self.sent)", "self.note.write(id=id_)"),
    ("note that a try has begun", ENGINE, "self.note.write(began=self.client.server_now())", "pass"),
    ("of several, read each", ENGINE, "if self._still_named(f)]", "]"),
    ("of several, believe no first 404", ENGINE, "self.kind.found(fresh(self.client, self.kind.get(found.id))).name", "self.kind.found(self.client.send(self.kind.get(found.id))).name"),
    ("what is listed twice is one", ENGINE, "in {f.id: f for f in there}.values()", "in there"),
    ("distrust a note of what was renamed", ENGINE, "return found if found and found.name == self.name and", "return found if found and"),
    ("never resend a create", CLIENT, "if call.safety is not Safety.CREATE:\n            return cause", "if True:\n            return cause"),
    ("wait after a lost answer", ENGINE, "self.client.clock.sleep(self.attempt.settle)\n            if there := self._find():", "if there := self._find():"),
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
    ("count a start from the create", KINDS, "math.ceil(now + later + 60 * wanted", "math.ceil(float(wanted['scheduleParams']['startTime']) + 0 * wanted"),
    ("another start where it has passed on the way", ENGINE, "except AepTooLateError:", "except KeyError:"),
    ("among writers, wait and look again", ENGINE, "if not self.attempt.concurrent_writers:\n                    return", "if True:\n                    return"),
    ("among writers, the eldest counts", ENGINE, "key=lambda f: (f.created, f.id))", "key=lambda f: (-f.created, f.id))"),
    ("among writers, distrust what is young", ENGINE, "if age < self.attempt.settle:", "if False:"),
    ("among writers, a flow is a draft first", ENGINE, "as_draft = self.attempt.concurrent_writers and", "as_draft = False and"),
    ("without drafts, start later", ENGINE, "self._create_once(body, 3 * self.attempt.settle)", "self._create_once(body, 0)"),
    ("remove what lost", ENGINE, "self.client.send(remove(settled(self.client, self.kind, other).id))", "pass"),
    ("remove one's own only", ENGINE, "if remove is None or not mine or self._in_use(other):", "if remove is None or self._in_use(other):"),
    ("remove nothing that holds rows", ENGINE, "bool(idle and not self.client.send(idle(found.id)))", "False"),
    ("remove nothing that something stands on", ENGINE, "or bool(user_of(self.client, self.kind, found))", ""),
    ("remove nothing in use", ENGINE, "except AepInvalidRequestError:  # in use", "except KeyError:"),
    ("put aside before making anew", ENGINE, "renamed = _stale_once(self.kind, found.id, self._put_aside, found.id)", "renamed = True"),
    ("mark anew what is put aside", ENGINE, "own = identity(self.client.settings, self.kind.label, at(found.fields, self.kind.scope), name)", "own = self.me.identity"),
    ("replace only what is ours", ENGINE, "if terms.replace and ours and", "if terms.replace and"),
    ("no backfill after a replacement", SUCCESSION, '"backfill": False}', '"backfill": True}'),
    ("rest before a replacement", SUCCESSION, 'if found.state == "enabled":', "if False:"),
    ("wait for a run before a replacement", SUCCESSION, "while any(judge(run).verdict", "while 0 and any(judge(run).verdict"),
    ("wait for a first run to be listed", SUCCESSION, "if due and all(", "if False and all("),
    ("one that failed does not hide the next", SUCCESSION, "if due and all(judge(run).verdict == Verdict.FAILED for", "if due and not any(True for"),
    ("what is gone may have filled the same dataset", SUCCESSION, "    except AepNotFoundError:\n        return False", "    except KeyError:\n        return False"),
    ("another dataset has ingested nothing", SUCCESSION, "return its != targets and", "return False and"),
    ("take nothing again that ran once", SUCCESSION, 'if wanted["runs"] == "once" and any', "if 0 and any"),
    ("among writers, distrust what was noted", ENGINE, "(self._find() or self._remembered()) if among else", "(self._remembered() or self._find()) if among else"),
    ("among writers, a stranger's does not count", ENGINE, "self.attempt.concurrent_writers) and all(map(self._ours, there)):", "self.attempt.concurrent_writers):"),
    ("publish no draft whose start has passed", ENGINE, "if late := self.kind.revive(", "if late := 0 and self.kind.revive("),
    ("give a draft the time it takes to win", ENGINE, '"draft": True}, self.attempt.settle)', '"draft": True}, 0)'),
    ("create nothing again after a taken title", ENGINE, "if isinstance(failure, AepConflictError):", "if False:"),
    ("pass over a set that is nobody's", ENGINE, "and not self._left_over(f)]", "]"),
    ("a blank is no change", ENGINE, 'text.rstrip()}  # as', 'text}  # as'),
    ("find through the flow only what has no name", KINDS, "if not found.name:", "if True:"),
    ("wait for what was made a moment ago", TEARDOWN, "    if missing or", "    if False and"),
    ("wait for what stands on data", TEARDOWN, "or any(kind in with_rows.values() for kind, _ in doomed):", "or False:"),
    ("wait until nothing is listed any more", TEARDOWN, "    while is_listed():", "    while False:"),
    ("delete exact names only", TEARDOWN, "if f.name == name]", "]"),
    ("tell the parts of another onboarding", TEARDOWN, "if is_part(kind, found)]", "]"),
    ("after a put-aside, suspect an earlier try", ENGINE, "        if not renamed:", "        if False:"),
    ("after a put-aside, wait for an earlier try's", ENGINE, "            self.client.clock.sleep(self.attempt.settle)\n            if there := self._find() or", "            if there := self._find() or"),
    ("no backfill, whatever the whole list says", SUCCESSION, 'f.name == wanted["name"] or is_put_aside', "is_put_aside"),
    ("what is said to run again has ingested", SUCCESSION, "if r.verdict != Verdict.FAILED.value]", "if r.verdict not in {Verdict.FAILED.value, Verdict.WAITING.value}]"),
    ("ask again once the run has ended", SUCCESSION, "[found.id])  # the run that was under way", "[])"),
    ("a set may still be a replaced flow's", KINDS, "if not (f.name != before(f.name) and unsigned(f.description)[1])]", "]"),
    ("suspect a run where nothing is noted", RUNS, "        elif self.attempt.tried_before:\n            since, left", "        elif False:\n            since, left"),
    ("look for a run whose notes are lost", RUNS, "return self._found(self.since, 0.0) if self.attempt.tried_before else None", "return None"),
    ("pass over a run that has failed", RUNS, "next((run for run in runs if not _failed(run)), runs[-1] if runs else None)", "next(iter(runs), None)"),
    ("note before a run", RUNS, "self._keep(sent=left[-1])", "pass"),
    ("note what run was made", RUNS, "self._keep(id=made, sent=left[-1])", "pass"),
    ("what was refused is not suspicious", RUNS, "self._keep(**before)", "pass"),
    ("look for a run on suspicion", RUNS, "there = there or self._sent_before()", "pass"),
    ("look for a run after a lost answer", RUNS, "if (there := self._found(left[0], left[-1])) is not None:", "if there := None:"),
    ("wait for a run to be listed", RUNS, "if all(map(_failed, runs)) and wait > 0:", "if False:"),
    ("a failed run does not hide the next", RUNS, "if all(map(_failed, runs)) and", "if not runs and"),
    ("tell runs by their window", RUNS, "and young and run.window == self.window", "and young"),
    ("tell runs by their moment", RUNS, "young = run.createdAt >= since * _SECOND - _SECOND and", "young ="),
    ("start no second run on a guess", RUNS, '                if self.on_ambiguous == "fail":\n                    raise self._uncertain() from None', "                pass"),
    ("note before a run is triggered again", RUNS, "self._keep(id=id_, sent=sent, again=self.client.server_now())", "pass"),
    ("note still when it was triggered again", RUNS, 'self._keep(**{**self.known, "id": made})', "self._keep(id=made, sent=sent)"),
    ("wait for what was triggered again", RUNS, 'if "again" in self.known:', "if False:"),
    ("look for what was triggered again", RUNS, "            if there := self._under_way(id_, sent):\n                return there\n            try:", "            try:"),
    ("look for it after a refusal", RUNS, "                return self._under_way(id_, sent)", "                return None"),
    ("wait after a refusal", RUNS, "self.client.clock.sleep(self.attempt.settle)  # somebody", "pass  # somebody"),
    ("what another has opened earlier has the rows", RUNS, "self._since(0.0 if self.exclusive else sent)", "self._since(sent)"),
    ("a run whose window is not told may take any rows", RUNS, "elsewhere = not waits if end is None else", "elsewhere = True if end is None else"),
    ("go on only from what has landed", WINDOW, "yield from _check_that_landed(", "(lambda *_: 0)("),
    ("wait until it is read that it runs", RUNS, "self._wait_until_it_runs(made)", "pass"),
    ("take no rows that another run takes", RUNS, "        if not self.exclusive:", "        if True:"),
    ("take no window that another DAG run has taken", RUNS, "if (start, end) == beside or", "if (start, end) == self.window or"),
    ("wait for the first run", WINDOW, "if waits := [run.id for run in runs if _is(run, {Verdict.WAITING.value})]:", "if waits := []:"),
    ("a run of another window is another one", WINDOW, 'f"aep:run:{flow_id}:{self.start}-{self.end}"', 'f"aep:run:{flow_id}"'),
    ("wait until a window that is found out is over", WINDOW, "    if last > now:", "    if False:"),
    ("wait for a first run to be listed that a window begins at", WINDOW, 'if flow.state == "enabled" and now < due + LAG and', "if False and"),
    ("wait for a first run that others have run before", WINDOW, 'there = any("windowStartTime" not in run.params and', "there = any("),
    ("wait for a first run no longer than AEP's lists lag", WINDOW, "now < due + LAG and", "True and"),
    ("rows of which nobody knows are for a person", WINDOW, "    if odd := [", "    if odd := 0 and ["),
    ("a narrower run has not landed all", WINDOW, "if not any(other <= start for other in there)]", "if not there]"),
    ("wait for Catalog to show a batch", WATCH, "may_come = may_come or isinstance(e, AepNotFoundError)", "pass"),
    ("wait for AEP to name a batch", WATCH, "        may_come = True\n", ""),
    ("wait for Catalog no longer than it lags", WATCH, "and may_come and young:", "and may_come:"),
    ("a moment of Airflow's clock is not one of AEP's", RUNS, "attempt.since + client.server_now() - client.clock.now()", "attempt.since"),
    ("start no run of a flow that is not enabled", RUNS, "        self._check_enabled()\n        self._check_overlap()\n", "        self._check_overlap()\n"),
    ("trigger no run again of a flow that is not enabled", RUNS, "        self._check_enabled()\n        self._check_overlap(beside", "        self._check_overlap(beside"),
    ("all tries take the same window", WINDOW, "chosen.write(start=first)", "pass"),
    ("a window that nobody sent is found out anew", WINDOW, "if first is None or not Window(first, last).note(attempt, flow.id).read():", "if first is None:"),
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
        tests = {TEARDOWN: ["tests/provider/test_teardown.py"], WINDOW: RUN_FLOW, RUNS: RUN_FLOW}
        tests[WATCH] = ["tests/provider/test_waiting.py"]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:warnings"]
        command += tests.get(file, ["tests/onboarding"])
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        red = re.search(r"^(?:FAILED|ERROR) \S*?(\w+\.py)::(\w+)", done.stdout, re.MULTILINE)
        return f"{red[1]} {red[2]}" if red else ""


def main() -> None:
    if moved := [name for name, file, old, _ in STEPS if (ROOT / file).read_text().count(old) != 1]:
        raise SystemExit(f"The code of these is not where it was: {'; '.join(moved)}")
    steps = [step for step in STEPS if not sys.argv[1:] or any(word in step[0] for word in sys.argv[1:])]
    red: dict[str, str] = {}
    with ThreadPoolExecutor(2) as pool:
        for (name, *_), test in zip(steps, pool.map(taken_out, steps), strict=True):
            red[name] = test
            print(f"{name:42} {test or 'NOTHING NOTICED'}", flush=True)
    survived = [name for name, test in red.items() if not test]
    print(f"{len(red) - len(survived)} of {len(red)} steps are noticed when they are taken out")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
