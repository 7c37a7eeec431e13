"""The software bill of materials names everything that is installed, with the digests that are locked."""

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parent.parent


def test_every_locked_package_is_in_the_bill_of_materials(tmp_path: Path) -> None:
    subprocess.run(["make", "sbom", f"SBOM={tmp_path}"], cwd=ROOT, check=True, capture_output=True)
    python = json.loads((tmp_path / "python.cdx.json").read_bytes())
    assert python["bomFormat"] == "CycloneDX"
    assert python["metadata"]["component"]["name"] == "gatepost"
    locked = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements/run.lock").read_text(), re.MULTILINE)
    found = {(one["name"], one["version"]): one for one in python["components"]}
    assert len(locked) > 30
    assert set(locked) == set(found)
    digests = {
        name: {entry["content"] for ref in one["externalReferences"] for entry in ref["hashes"]}
        for (name, _), one in found.items()
    }
    assert all(digests.values())
    console = json.loads((tmp_path / "console.cdx.json").read_bytes())
    packages = json.loads((ROOT / "frontend/package.json").read_bytes())["dependencies"]
    named = {unquote(one["purl"]) for one in console["components"]}
    assert {f"pkg:npm/{name}@{version}" for name, version in packages.items()} <= named
