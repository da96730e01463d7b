"""A registration runs when its registry is imported, and a failing one hurts nobody."""

import importlib.util
import sys
from importlib import import_module
from importlib.machinery import SourceFileLoader

import pytest

from rest_verl.integration import when_imported as module
from rest_verl.integration.when_imported import FAILURES, when_imported

NAME = "registry_in_a_folder"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """The name of a module that can be imported and has not been."""
    (tmp_path / f"{NAME}.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    finders = list(sys.meta_path)
    yield NAME
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]
    FAILURES.pop(NAME, None)
    for finder in finders:
        getattr(finder, "waiting", {}).pop(NAME, None)


def test_after_the_import_and_once(registry):
    seen = []
    when_imported(registry, lambda: seen.append(sys.modules[registry].value))
    assert seen == []
    import_module(registry)
    assert seen == [1]
    import_module(registry)
    assert seen == [1]


def test_at_once_where_it_has_been_imported(registry):
    import_module(registry)
    seen = []
    when_imported(registry, lambda: seen.append("at once"))
    assert seen == ["at once"]


def test_the_module_is_as_without_us(registry):
    plain = import_module(registry)
    expected = dict(vars(plain))
    del sys.modules[registry]
    when_imported(registry, lambda: None)
    found = import_module(registry)
    assert type(found.__spec__.loader) is SourceFileLoader
    assert found.__loader__ is found.__spec__.loader
    for name in ("__name__", "__file__", "__package__", "__doc__", "value"):
        assert getattr(found, name) == expected[name]
    assert found.__spec__.origin == expected["__spec__"].origin
    assert found.__spec__.submodule_search_locations is None


def test_several_functions_in_their_order(registry):
    seen = []
    for number in range(3):
        when_imported(registry, lambda number=number: seen.append(number))
    import_module(registry)
    assert seen == [0, 1, 2]


def test_looking_for_the_module_is_not_importing_it(registry):
    seen = []
    when_imported(registry, lambda: seen.append("imported"))
    assert importlib.util.find_spec(registry).origin.endswith(f"{NAME}.py")
    assert seen == []
    import_module(registry)
    assert seen == ["imported"]


def test_an_import_that_fails_is_not_the_last(registry, tmp_path):
    seen = []
    when_imported(registry, lambda: seen.append("imported"))
    text = (tmp_path / f"{NAME}.py").read_text()
    (tmp_path / f"{NAME}.py").write_text("raise ImportError('not today')")
    with pytest.raises(ImportError, match="not today"):
        import_module(registry)
    assert seen == []
    (tmp_path / f"{NAME}.py").write_text(text)
    importlib.invalidate_caches()
    import_module(registry)
    assert seen == ["imported"]


def test_a_module_in_a_package(registry, tmp_path):
    (tmp_path / f"{NAME}.py").unlink()
    (tmp_path / NAME / "inner").mkdir(parents=True)
    (tmp_path / NAME / "__init__.py").write_text(f"import {NAME}.inner.leaf\n")
    (tmp_path / NAME / "inner" / "__init__.py").touch()
    (tmp_path / NAME / "inner" / "leaf.py").write_text("value = 2\n")
    importlib.invalidate_caches()
    seen = []
    when_imported(f"{NAME}.inner.leaf", lambda: seen.append("leaf"))
    when_imported(NAME, lambda: seen.append("package"))
    import_module(NAME)
    assert seen == ["leaf", "package"]
    assert sys.modules[NAME].__path__ == [str(tmp_path / NAME)]


def test_a_module_that_does_not_exist_waits_for_ever(registry):
    when_imported(f"{NAME}_not", lambda: pytest.fail("there is nothing to import"))
    with pytest.raises(ModuleNotFoundError, match=f"{NAME}_not"):
        import_module(f"{NAME}_not")
    assert importlib.util.find_spec(f"{NAME}_not") is None


def test_a_failure_is_kept_and_the_import_goes_on(registry, caplog):
    def fail():
        raise RuntimeError("broken on purpose")

    seen = []
    when_imported(registry, fail)
    when_imported(registry, lambda: seen.append("the next one"))
    assert import_module(registry).value == 1
    assert str(FAILURES[registry]) == "broken on purpose"
    assert f"rest_verl is not registered in {registry}: broken on purpose" in caplog.text
    assert seen == ["the next one"]


def test_a_failure_at_once_is_kept_too(registry):
    import_module(registry)
    when_imported(registry, lambda: import_module("not.there"))
    assert isinstance(FAILURES[registry], ModuleNotFoundError)


def test_one_finder_for_all(registry):
    for name in (registry, f"{registry}_b", f"{registry}_c"):
        when_imported(name, lambda: None)
    assert sum(isinstance(finder, module._Finder) for finder in sys.meta_path) == 1
