"""Finds methods and task loaders.

The core reaches the other folders only through this module, and knows no name in them.

Methods come from three places: every module of `benchbench.methods` whose name does not begin with
an underscore, the entry points of the group ``benchbench.methods`` (a module, or ``module:Class``)
of installed plug-ins, and the files or folders listed in the environment variable
``BENCHBENCH_METHODS``. Loaders are found likewise: in `benchbench.suites`, the group
``benchbench.loaders`` and ``BENCHBENCH_LOADERS``.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from benchbench.cards import TRACKS, MethodCard
from benchbench.contracts.loading import TaskLoader
from benchbench.errors import BenchbenchError, BrokenPluginWarning, InputError, UnknownNameError
from benchbench.provenance import code_hash
from benchbench.validation import fits, normalised

__all__ = [
    "BrokenPlugin",
    "DuplicateNameError",
    "MethodEntry",
    "broken_plugins",
    "create_method",
    "get_loader",
    "get_method",
    "harness_hash",
    "loaders",
    "methods",
    "normal_params",
    "parse_method",
]

ENTRY_POINT_GROUP = "benchbench.methods"
FILES_VARIABLE = "BENCHBENCH_METHODS"
LOADER_GROUP = "benchbench.loaders"
LOADER_FILES_VARIABLE = "BENCHBENCH_LOADERS"


class DuplicateNameError(InputError):
    """Two adapters have one name."""


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """An adapter that was found: its class, its card and its file."""

    name: str
    card: MethodCard
    cls: type[Any]
    module: str
    path: Path

    def source_hash(self) -> str:
        """Hash of the adapter's module and of the modules of its package that it imports, found
        statically.
        """
        return _source_hash(self.module, self.path)

    def source_hash_now(self) -> str:
        """Hash of the files as they are now; `source_hash` keeps its first value."""
        return _source_hash.__wrapped__(self.module, self.path)


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plug-in whose import failed; listed, never hidden."""

    where: str
    error: str


_broken: list[BrokenPlugin] = []


def methods() -> Mapping[str, MethodEntry]:
    """Return every method that was found, by name.

    Raises
    ------
    DuplicateNameError
        If two adapters have one name; the message names both modules.
    """
    return _scan(os.environ.get(FILES_VARIABLE, ""))


def broken_plugins() -> list[BrokenPlugin]:
    """Return the modules whose import failed in the last scan."""
    methods()
    return list(_broken)


def get_method(name: str) -> MethodEntry:
    """Return the method of that name.

    Raises
    ------
    UnknownNameError
        If there is none; with the nearest names.
    """
    known = methods()
    if name in known:
        return known[name]
    for plugin in _broken:
        if plugin.where.endswith(name) or plugin.where.endswith(f"{name}.py"):
            raise InputError(f"method {name!r} cannot be imported from {plugin.where}: {plugin.error}")
    raise UnknownNameError("method", name, known, "List them with: bench list methods")


def create_method(name: str, params: Mapping[str, Any]) -> Any:
    """Create an adapter; check the parameters against its constructor.

    Raises
    ------
    InputError
        If the constructor has no such parameter, or one of another type.
    """
    entry = get_method(name)
    check_params(entry, params)
    return entry.cls(**params)


def check_params(entry: MethodEntry, params: Mapping[str, Any]) -> None:
    """Raise `InputError` unless the method's constructor accepts `params` by name and annotated
    type.
    """
    normal_params(entry, params)


def normal_params(entry: MethodEntry, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one spelling of a method's parameters, in the constructor's order.

    Values are `normalised` by their annotations; those equal to the constructor's defaults are left
    out. So all spellings of one method give one trial id, and a method without parameters keeps the
    id that it always had.

    Raises
    ------
    InputError
        If the constructor has no such parameter, or one of another type.
    """
    # signature() of a class without its own constructor parses text: 5 ms in a new process
    known = {} if entry.cls.__init__ is object.__init__ else inspect.signature(entry.cls).parameters
    for param in params:
        if param not in known:
            raise UnknownNameError(f"parameter of method {entry.name!r}:", param, known)
    checked = {name: _normal_value(entry, one, params[name]) for name, one in known.items() if name in params}
    return {name: value for name, (value, is_default) in checked.items() if not is_default}


def _normal_value(entry: MethodEntry, parameter: inspect.Parameter, value: Any) -> tuple[Any, bool]:
    """Return a value's one spelling, and whether it is the parameter's default."""
    has_annotation = parameter.annotation is not inspect.Parameter.empty
    annotation = parameter.annotation if has_annotation else "Any"
    normal = normalised(value, annotation)
    # repr tells True from 1 and 1 from 1.0, in lists as well
    is_default = repr(_ordered(normal)) == repr(_ordered(normalised(parameter.default, annotation)))
    if not is_default and not fits(value, annotation):
        expected = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        raise InputError(f"parameter {parameter.name!r} of method {entry.name!r} expects {expected}, got {value!r}")
    return normal, is_default


def _ordered(value: Any) -> Any:
    """Return a value whose mappings are sorted by key."""
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in sorted(value, key=repr)}
    return [_ordered(each) for each in value] if isinstance(value, list | tuple) else value


def parse_method(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``name`` or ``name(param=value, ...)``; values are Python literals.

    Raises
    ------
    InputError
        If the text has neither form.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
            params = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords if k.arg}
            if len(params) == len(node.keywords):
                return node.func.id, params
    except (SyntaxError, ValueError):
        pass
    raise InputError(f"cannot read method {text!r}; expected a name, or name(param=value, ...) with literal values")


def loaders() -> Mapping[str, TaskLoader]:
    """Return every task loader that was found, by name.

    Raises
    ------
    DuplicateNameError
        If two loaders have one name.
    InputError
        If a plug-in's import fails: a suite that needs it could not run.
    """
    return _scan_loaders(os.environ.get(LOADER_FILES_VARIABLE, ""))


def get_loader(name: str) -> TaskLoader:
    """Return the task loader of that name, or raise `UnknownNameError`."""
    known = loaders()
    if name not in known:
        raise UnknownNameError("task loader", name, known)
    return known[name]


@functools.lru_cache(maxsize=1)
def harness_hash() -> str:
    """Return the hash of the code between data and adapters: contracts, protocols, loaders, seeds.

    State learnt with one version of that code is never reused with another. The protocol's version,
    which decides whether results are comparable, is raised by hand.
    """
    own = ("contracts", "protocols", "suites", "seeding", "execution.harness")
    return code_hash(*(f"benchbench.{name}" for name in own))


@functools.lru_cache(maxsize=4)
def _scan(files: str) -> Mapping[str, MethodEntry]:
    _broken.clear()
    found: dict[str, MethodEntry] = {}
    for where, load in [
        *_package_modules("benchbench.methods"),
        *_entry_points(ENTRY_POINT_GROUP),
        *_listed_files(files, FILES_VARIABLE),
    ]:
        # a plug-in may raise anything at import; the others must still be found
        try:
            loaded = load()
        except BenchbenchError:
            raise
        except Exception as error:
            plugin = BrokenPlugin(where, _what_happened(error, where))
            _broken.append(plugin)
            message = f"method plug-in {where} cannot be imported: {plugin.error}"
            warnings.warn(message, BrokenPluginWarning, stacklevel=2)
            continue
        for entry in _entries(loaded):
            other = found.get(entry.name)
            if other is not None and other.cls is not entry.cls:
                raise DuplicateNameError(
                    f"two adapters are named {entry.name!r}: {other.module} ({other.path}) and {entry.module} ({entry.path});"
                    " rename one, or take the repository's root off sys.path if they are the same file"
                )
            found[entry.name] = entry
    return found


def _what_happened(error: Exception, where: str) -> str:
    """Return in one line why the import of a plug-in failed, and on which line of which file."""
    said = (str(error).splitlines() or [""])[0]
    if isinstance(error, SyntaxError):
        file, line, said = error.filename or where, error.lineno, error.msg
    else:
        frames = traceback.extract_tb(error.__traceback__)
        # the plug-in's own last frame, not that of a library that it called
        own = [f for f in frames if f.filename == where] or frames
        file, line = own[-1].filename, own[-1].lineno
    place = f"line {line}" if file == where else f"{file}, line {line}"
    return f"{place}: {type(error).__name__}: {said}"


def _entries(loaded: ModuleType | type[Any]) -> Iterator[MethodEntry]:
    candidates: list[Any] = [loaded] if inspect.isclass(loaded) else list(vars(loaded).values())
    home = loaded.__name__ if isinstance(loaded, ModuleType) else None
    for cls in candidates:
        card = vars(cls).get("card") if isinstance(cls, type) else None
        if not isinstance(card, MethodCard) or cls.__module__ != (home or cls.__module__):
            continue
        if card.track not in TRACKS:
            raise InputError(
                f"{cls.__module__}.{cls.__name__}: unknown track {card.track!r}; known: {', '.join(TRACKS)}"
            )
        file = sys.modules[cls.__module__].__file__
        yield MethodEntry(card.name, card, cls, cls.__module__, Path(file or "").resolve())


def _package_modules(package: str) -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    root = importlib.import_module(package)
    for info in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not info.ispkg and not info.name.rsplit(".", 1)[-1].startswith("_"):
            yield info.name, functools.partial(importlib.import_module, info.name)


def _entry_points(group: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    from importlib.metadata import entry_points

    for point in entry_points(group=group):
        yield f"entry point {point.name} ({point.value})", point.load


def _listed_files(files: str, variable: str) -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    for item in filter(None, files.split(os.pathsep)):
        path = Path(item).expanduser().resolve()
        if not path.exists():
            raise InputError(f"{variable} lists {item!r}, which does not exist")
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            if not file.name.startswith("_"):
                yield str(file), functools.partial(_import_file, file)


def _import_file(file: Path) -> ModuleType:
    name = f"benchbench_file_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@functools.lru_cache(maxsize=4)
def _scan_loaders(files: str) -> Mapping[str, TaskLoader]:
    found: dict[str, TaskLoader] = {}
    plugins = [*_entry_points(LOADER_GROUP), *_listed_files(files, LOADER_FILES_VARIABLE)]
    for where, load in [*_package_modules("benchbench.suites"), *plugins]:
        try:
            loaded = load()
        except BenchbenchError:
            raise
        # a plug-in may raise anything at import
        except Exception as error:
            raise InputError(f"task loader {where} cannot be imported: {_what_happened(error, where)}") from error
        for cls in [loaded] if inspect.isclass(loaded) else list(vars(loaded).values()):
            if inspect.isclass(cls) and issubclass(cls, TaskLoader) and not inspect.isabstract(cls):
                known = found.get(cls.name)
                if known is not None and type(known) is not cls:
                    raise DuplicateNameError(f"two loaders are named {cls.name!r}: {type(known)} and {cls}")
                found[cls.name] = cls()
    return found


@functools.lru_cache(maxsize=256)
def _source_hash(module: str, path: Path) -> str:
    digest = hashlib.sha256()
    for _, file in sorted(_own_imports(module, path).items()):
        digest.update(file.read_bytes())
        digest.update(b"\x00")
    return digest.hexdigest()[:16]


def _own_imports(module: str, path: Path) -> dict[str, Path]:
    """Return the files of `module` and of what it imports of its root package, directly or not.

    For built-in methods the root is `benchbench.methods`; changes of the core raise the protocol
    version by hand.
    """
    built_in = "benchbench.methods"
    root = built_in if module.startswith(f"{built_in}.") else module.split(".")[0]
    found: dict[str, Path] = {}
    waiting = [(module, path)]
    while waiting:
        name, file = waiting.pop()
        if name in found:
            continue
        found[name] = file
        for imported in _imported_names(ast.parse(file.read_bytes()), name):
            if imported == root or imported.startswith(f"{root}."):
                source = _module_file(imported)
                if source is not None:
                    waiting.append((imported, source))
    return found


def _imported_names(tree: ast.AST, module: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            parent = ".".join([*base, *([node.module] if node.module else [])])
            yield parent
            yield from (f"{parent}.{alias.name}" for alias in node.names)


def _module_file(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None
