"""The order of the packages, as docs/design.md gives it: imports run down, never up, and never in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"
LEVELS = (
    ("app",),
    ("report", "trackers"),
    ("export", "progress"),
    ("collect",),
    ("evaluation",),
    ("sources",),
    ("centers",),
    ("lists", "embedding"),
    ("dataset", "backbones"),
    ("net", "classes"),
    ("preprocessing",),
    ("sampling", "config", "storage", "engine", "statistics"),
    ("formats", "errors", "reasons", "image_ids", "wording", "version", "run_outcome"),
)
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}
MODULES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SRC / "imagenet_nk").rglob("*.py"))
    if path.name != "__main__.py"  # starts app.main, as src/imagenet.py does
}
LONGEST_CHAIN = 13  # app.main, the entry point, included


@cache
def imports(module: str) -> frozenset[tuple[str, str]]:
    """(module of the package, name) of every import in a module, also of those inside functions."""
    return frozenset(_imports(module, lazy=True))


def _imports(module: str, *, lazy: bool) -> Iterator[tuple[str, str]]:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if lazy else _run_at_import(tree)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "imagenet_nk":
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield (submodule, "") if submodule in MODULES else (str(node.module), alias.name)


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _run_at_import(child)


def package(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", [name for name in MODULES if name != "imagenet_nk"])
def test_no_import_runs_up(module: str) -> None:
    own = LEVEL_OF[package(module)]
    up = [target for target, _ in imports(module) if package(target) and LEVEL_OF[package(target)] < own]
    assert not up, f"{module} imports from a package above it"


@pytest.mark.parametrize("module", [name for name in MODULES if name != "imagenet_nk"])
def test_no_private_name_of_another_file_is_imported(module: str) -> None:
    private = [f"{target}.{name}" for target, name in imports(module) if name.startswith("_") and name != "__version__"]
    private += [target for target, _ in imports(module) if target.rsplit(".", 1)[-1].startswith("_")]
    assert not private


def test_packages_of_one_level_do_not_import_each_other_in_a_circle() -> None:
    graph = {name: {package(target) for target, _ in imports(name)} for name in MODULES}
    packages: dict[str, set[str]] = {}
    for name, targets in graph.items():
        packages.setdefault(package(name), set()).update(targets - {package(name), ""})
    assert not circles(packages)


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert not circles({name: {target for target, _ in imports(name)} - {"imagenet_nk"} for name in MODULES})


def test_no_chain_of_imports_is_long() -> None:
    chains = {name: longest_chain(name) for name in MODULES}
    longest = max(chains.values(), key=len)
    assert len(longest) <= LONGEST_CHAIN, " -> ".join(longest)


@cache
def longest_chain(module: str) -> tuple[str, ...]:
    targets = {target for target, _ in imports(module)} - {"imagenet_nk"}
    return (module, *max((longest_chain(target) for target in targets), key=len, default=()))


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected components of more than one node (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    result: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(component) > 1:
                result.append(component)

    for node in graph:
        if node not in index:
            visit(node)
    return result


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}), ids=lambda folder: folder.name)
def test_a_folder_holds_at_most_twelve_modules_and_says_what_it_is_for(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= 12
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", [name for name in MODULES if name != "imagenet_nk"])
def test_what_other_packages_import_is_named_in_the_docstring_of_its_package(module: str) -> None:
    folder = MODULES[module].parent
    for target, name in imports(module):
        home = MODULES[target] if MODULES[target].name == "__init__.py" else MODULES[target].with_name("__init__.py")
        if home.parent == folder or home == SRC / "imagenet_nk" / "__init__.py" or package(target) == "config":
            continue
        wanted = name or target.rsplit(".", 1)[-1]
        text = ast.get_docstring(ast.parse(home.read_text(encoding="utf-8"))) or ""
        assert re.search(rf"\b{re.escape(wanted)}\b", text), f"{home.parent.name} does not name {wanted}"


def test_design_names_what_exists() -> None:
    """Modules, classes and the order of the packages in docs/design.md."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    paths = [f"/{path.relative_to(ROOT).as_posix()}" for top in ("src", "tests") for path in (ROOT / top).rglob("*.py")]
    for name in re.findall(r"`([a-z_][a-z_/]*\.py)`", text):
        assert any(path.endswith(f"/{name}") for path in paths), name
    sources = "".join(
        path.read_text(encoding="utf-8") for path in [*SRC.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    )
    for name in re.findall(r"`([A-Z]\w+[a-z])(?:\(\))?`", text):
        assert f"class {name}" in sources, name
    assert "".join(f"    {', '.join(names)}\n" for names in LEVELS) in text
