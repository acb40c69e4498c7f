import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

PROJECT = Path(__file__).parents[3] / "contracts"


def test_wheel_is_typed_and_depends_only_on_pydantic(tmp_path):
    build = "from hatchling.build import build_wheel; import sys; build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=PROJECT, check=True, timeout=60, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        required = Parser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist")
    assert required is not None
    always = [requirement for requirement in required if "extra ==" not in requirement]
    assert [requirement.partition("<")[0] for requirement in always] == ["pydantic"]
    assert "retainwise_contracts/py.typed" in names
    assert "retainwise_contracts/schemas/retainwise.prediction.requested.v1.json" in names
    assert "retainwise_contracts/examples/retainwise.prediction.requested.v1.json" in names


def test_contracts_import_only_pydantic_and_the_standard_library():
    program = (
        "import sys; before = set(sys.modules);"
        "import retainwise_contracts.codec, retainwise_contracts.health, retainwise_contracts.results;"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    imported = (name for name in printed.stdout.split() if not name.startswith("_"))
    foreign = {name for name in imported if name not in sys.stdlib_module_names}
    pydantic_and_its_own = {
        "annotated_types",
        "pydantic",
        "pydantic_core",
        "typing_extensions",
        "typing_inspection",
    }
    assert foreign - pydantic_and_its_own == {"retainwise_contracts"}


def test_readme_names_every_module():
    readme = (PROJECT / "README.md").read_text("utf-8")
    modules = (path.stem for path in (PROJECT / "src" / "retainwise_contracts").glob("[a-z]*.py"))
    assert [module for module in modules if f"`{module}`" not in readme] == []
