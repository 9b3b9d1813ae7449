"""Install each wheel into an empty environment and try it there: ``make wheels-check``.

The emulator's environment has neither Airflow nor the provider. The provider's has no emulator.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
FLOW, REGISTRY = "/data/foundation/flowservice", "/data/foundation/schemaregistry/tenant"
CATALOG, PREP = "/data/foundation/catalog", "/data/foundation/conversion"
SERVICENOW, DATA_LAKE = "eb13cb25-47ab-407f-ba89-c0125281c563", "c604ff05-7f1a-43c0-8e18-33bf874cb11c"

ABSENT = """
from importlib.util import find_spec
from importlib.metadata import distributions

assert find_spec({package!r}) is None, "{package} is installed"
print(len(list(distributions())), "distributions, and no {package}")
"""
OPERATORS = """
import importlib, pkgutil

import airflow_provider_aep.operators, airflow_provider_aep.sensors, airflow_provider_aep.triggers
from airflow.providers_manager import ProvidersManager

for package in (airflow_provider_aep.operators, airflow_provider_aep.sensors, airflow_provider_aep.triggers):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
assert "airflow-provider-aep" in ProvidersManager().providers
"""
EXAMPLES = """
from pathlib import Path
import airflow_provider_aep

found = {f.stem for f in (Path(airflow_provider_aep.__file__).parent / "example_dags").glob("*.py")}
assert {"aep_customer_success_onboarding", "aep_customer_success_tutorial"} <= found, found
"""


def run(*command: str | Path, **options: Any) -> str:
    """Return a command's output; raises ``SystemExit`` with its errors if it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(
            f"{' '.join(map(str, command))[:200]} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def install(folder: Path, wheel: Path) -> Path:
    """Return the folder of the programs of a new environment with one wheel and its dependencies."""
    uv = [sys.executable, "-m", "uv", "--quiet"]
    trusting = {"UV_SYSTEM_CERTS": "true", **os.environ}  # the certificates that this machine trusts, as pip does
    run(*uv, "venv", "--python", sys.executable, folder, env=trusting)
    programs = folder / "bin"
    command = [*uv, "pip", "install", "--python", programs / "python", "-c", ROOT / "constraints.txt"]
    # All builds have one version, so that a cache may have another wheel of ours under this name.
    command += ["--refresh-package", "aep-data-prep", "--find-links", wheel.parent, wheel]
    run(*command, env=trusting)
    return programs


@contextmanager
def serving(*command: str | Path, folder: Path) -> Generator[int, None, None]:
    """Run the emulator on a port that the system chooses; yields the port."""
    log = folder / "emulator.log"
    with log.open("w") as out, subprocess.Popen([*command, "--port", "0"], stdout=out, cwd=folder) as process:
        try:
            deadline = time.monotonic() + 60
            while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} did not start: {log.read_text()}")
                time.sleep(0.05)
            yield int(found[1])
        finally:
            process.terminate()


class Client:
    """A client of AEP that knows nothing but HTTP."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        form = {"grant_type": "client_credentials", "client_id": "emulator", "client_secret": "emulator-secret"}
        self._headers = {"Content-Type": "application/x-www-form-urlencoded"}
        token = self("POST", "/ims/token/v3", urlencode({**form, "scope": "openid"}))["access_token"]
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "x-api-key": "emulator",
            "x-gw-ims-org-id": "EMULATOR@AdobeOrg",
            "x-sandbox-name": "dev",
        }

    def text(self, method: str, path: str, body: str | None = None, **headers: str) -> str:
        """Return the text of a successful answer."""
        self._http.request(method, path, body, {**self._headers, **headers})
        answer = self._http.getresponse()
        text = answer.read().decode()
        assert answer.status < 300, (method, path, answer.status, text)
        return text

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = body if isinstance(body, str | None) else json.dumps(body)
        return json.loads(self.text(method, path, sent, **headers))


def onboard(aep: Client) -> dict[str, Any]:
    """Onboard a table of ServiceNow and return the flow's first run."""
    spec = {"id": SERVICENOW, "version": "1.0"}
    auth = {"specName": "Basic Authentication", "params": {"endpoint": "https://x", "username": "u", "password": "p"}}
    base = aep("POST", f"{FLOW}/connections", {"name": "base", "connectionSpec": spec, "auth": auth})["id"]
    table = aep("GET", f"{FLOW}/connections/{base}/explore?objectType=table&object=customer_contact")
    columns = table["schema"]["columns"]
    source = {"name": "source", "baseConnectionId": base, "connectionSpec": spec, "data": {"format": "tabular"}}
    source |= {"params": {"path": "customer_contact", "tableName": "customer_contact", "columns": columns}}
    source_id = aep("POST", f"{FLOW}/sourceConnections", source)["id"]
    parts = ["https://ns.adobe.com/xdm/context/profile", "https://ns.adobe.com/xdm/context/profile-personal-details"]
    schema = {"title": "contacts", "type": "object", "allOf": [{"$ref": p} for p in parts]}
    schema_id = aep("POST", f"{REGISTRY}/schemas", schema, Accept="application/json")["$id"]
    ref = {"id": schema_id, "contentType": "application/vnd.adobe.xed+json;version=1"}
    [dataset] = aep("POST", f"{CATALOG}/dataSets", {"name": "contacts", "schemaRef": ref})
    target = {"name": "target", "connectionSpec": {"id": DATA_LAKE, "version": "1.0"}}
    target |= {"data": {"schema": {"id": schema_id, "version": ref["contentType"]}}}
    target |= {"params": {"dataSetId": dataset.rsplit("/", 1)[-1]}}
    target_id = aep("POST", f"{FLOW}/targetConnections", target)["id"]
    pair = {"sourceType": "ATTRIBUTE", "source": "sys_id", "destination": "_id"}
    mapping = aep("POST", f"{PREP}/mappingSets", {"version": 0, "xdmSchema": schema_id, "mappings": [pair]})
    [flow_spec] = aep("GET", f"{FLOW}/flowSpecs?property=name%3D%3D%22CRMToAEP%22")["items"]
    flow = {"name": "flow", "flowSpec": {"id": flow_spec["id"], "version": "1.0"}}
    flow |= {"sourceConnectionIds": [source_id], "targetConnectionIds": [target_id]}
    params = {"mappingId": mapping["id"], "mappingVersion": mapping["version"]}
    flow |= {"transformations": [{"name": "Mapping", "params": params}]}
    now = aep("GET", "/_emulator/clock")["now"]
    flow |= {"scheduleParams": {"startTime": str(int(now) + 60), "frequency": "once"}}
    flow |= {"options": {"partialIngestionPercent": 5, "errorDiagnosticsEnabled": True}}
    flow_id = aep("POST", f"{FLOW}/flows", flow)["id"]
    aep("POST", "/_emulator/clock", {"frozen": True})
    aep("POST", "/_emulator/clock", {"advance": 600})
    [ended] = aep("GET", f"{FLOW}/runs?property=flowId=={flow_id}")["items"]
    return dict(ended["metrics"])


def check_emulator(folder: Path, wheel: Path) -> None:
    """The emulator starts, and onboards a table, where neither Airflow nor the provider is installed."""
    programs = install(folder, wheel)
    for package in ("airflow", "airflow_provider_aep"):
        print(f"  {run(programs / 'python', '-c', ABSENT.format(package=package), cwd=folder).strip()}")
    assert "--run-delay" in run(programs / "aep-emulator", "--help")
    for command in ((programs / "aep-emulator",), (programs / "python", "-m", "aep_emulator")):
        with serving(*command, folder=folder) as port:
            aep = Client(port)
            assert aep("GET", "/_emulator/health") == {"status": "ready"}
            assert "<html" in aep.text("GET", "/_emulator/")
            metrics = onboard(aep)
            assert metrics["statusSummary"]["status"] == "success", metrics
            print(f"  {command[0].name} onboarded {metrics['recordSummary']['outputRecordCount']} rows")


EVALUATE = """
from aep_data_prep import evaluate

print("  the mapping language evaluates:", evaluate('concat(upper("a"), size_of([1, 2]))'))
"""


def check_data_prep(folder: Path, wheel: Path) -> None:
    """The mapping language evaluates, where neither Airflow nor the provider nor the emulator is installed."""
    programs = install(folder, wheel)
    for package in ("airflow", "airflow_provider_aep", "aep_emulator"):
        print(f"  {run(programs / 'python', '-c', ABSENT.format(package=package), cwd=folder).strip()}")
    print(run(programs / "python", "-c", EVALUATE, cwd=folder).rstrip())


def check_provider(folder: Path, wheel: Path) -> None:
    """The provider's modules import, and Airflow finds it, where no emulator is installed."""
    programs = install(folder, wheel)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
    environment |= {"AIRFLOW_HOME": str(folder / "airflow"), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    print(f"  {run(programs / 'python', '-c', ABSENT.format(package='aep_emulator'), cwd=folder).strip()}")
    for code in (OPERATORS, EXAMPLES):
        run(programs / "python", "-c", code, cwd=folder, env=environment)
    print("  Airflow finds the provider; its operators, sensors and triggers import")


def main() -> None:
    """Check the wheels of the folder that the first argument names."""
    dist = Path(sys.argv[1]).resolve()
    checks = {"aep_data_prep": check_data_prep, "aep_emulator": check_emulator, "airflow_provider_aep": check_provider}
    for name, check in checks.items():
        [wheel] = dist.glob(f"{name}-*.whl")
        print(wheel.name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            check(Path(folder), wheel)


if __name__ == "__main__":
    main()
