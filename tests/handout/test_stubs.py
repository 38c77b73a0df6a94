"""A stub is its solution less the body."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("data_loader", "language_model", "trainer", "inference", "regularization")


def parsed(room, module):
    return ast.parse((ROOT / room / f"{module}.py").read_text())


def surface(tree):
    """Every public name with its signature and docstring, {name: (kind, signature, docstring)}."""
    out = {"": ("module", "", ast.get_docstring(tree))}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            out[node.name] = function(node)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            out[node.name] = ("class", "", ast.get_docstring(node))
            for item in node.body:
                special = item.name in ("__init__", "__iter__") if hasattr(item, "name") else False
                if isinstance(item, ast.FunctionDef) and (special or not item.name.startswith("_")):
                    out[f"{node.name}.{item.name}"] = function(item)
    return out


def function(node):
    returns = ast.unparse(node.returns) if node.returns else ""
    static = any(ast.unparse(d) == "staticmethod" for d in node.decorator_list)
    kind = "static method" if static else "function"
    return kind, f"({ast.unparse(node.args)}) -> {returns}", ast.get_docstring(node)


@pytest.mark.parametrize("module", MODULES)
def test_stub_and_solution_agree_in_names_signatures_and_docstrings(module):
    stub, solution = surface(parsed("handout", module)), surface(parsed("solution", module))
    assert stub == solution
    assert len(stub) > 1


def functions(tree, prefix=""):
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{node.name}.")
        if isinstance(node, ast.FunctionDef):
            yield f"{prefix}{node.name}", node


@pytest.mark.parametrize("module", MODULES)
def test_every_stub_raises_not_implemented_error_and_names_its_part(module):
    part = MODULES.index(module) + 1
    heading = re.compile(rf"^#+ .*part {part}\b", re.IGNORECASE | re.MULTILINE)
    assert heading.search((ROOT / "handout" / "ASSIGNMENT.md").read_text())
    for name, node in functions(parsed("handout", module)):
        body = node.body[1:] if ast.get_docstring(node) else node.body
        assert [ast.unparse(line) for line in body] == [
            f"raise NotImplementedError('{name}: see ASSIGNMENT.md, part {part}')"
        ]


@pytest.mark.parametrize("room", ["handout", "solution"])
def test_importing_a_module_does_nothing(room):
    allowed = ast.Import | ast.ImportFrom | ast.ClassDef | ast.FunctionDef
    allowed |= ast.Assign | ast.AnnAssign
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.parse(path.read_text()).body[1:]:
            main = isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
            assert isinstance(node, allowed) or main, f"{path.name}: {ast.unparse(node)[:60]}"
