"""Which code a function runs, as a short hash for every part of it: a record then says which code made it."""

import ast
import contextlib
import dis
import functools
import hashlib
import importlib.util
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

PACKAGE = __name__.partition(".")[0]
SIMPLE = (int, float, complex, str, bytes, range, type(None))
COLLECTION = (dict, list, tuple, set, frozenset)
EDITED = "edited after it was imported"


def of(function: Callable) -> dict[str, str]:
    """A hash for every part of the code that a function runs, by the part's name.

    Parts are the function itself; what it reads, through globals and closures, of its own module (a notebook, a
    script): functions, classes, numbers, strings and collections of them; and the modules of this package that these
    use, with those that they import. Comments, docstrings and layout do not count; other packages have versions.
    A module of this package whose file was edited after it was imported says so before its hash: what runs here is not
    what the file says, and a process that starts now runs something else.
    """
    root = _bare(function)
    while isinstance(root, functools.partial):
        root = _bare(root.func)
    home, seen, todo = _module(root), [], [("function", function)]
    texts: dict[str, list[str]] = {}
    used: set[str] = set()  # modules of this package
    while todo:
        name, value = todo.pop(0)
        value = _bare(value, home)
        module = _module(value)
        if module == home and hasattr(value, "__wrapped__"):  # a wrapper of this module counts, and what it wraps
            todo.append((name, value.__wrapped__))
        if isinstance(module, str) and module.partition(".")[0] == PACKAGE:
            used.add(module)
        elif isinstance(value, functools.partial):
            todo += [(name, value.func), (name, (value.args, value.keywords))]
        elif isinstance(value, FunctionType | type) and module == home and value not in seen:
            seen.append(value)
            label = value.__qualname__.rpartition("<locals>.")[2]
            if isinstance(value, FunctionType):
                texts.setdefault(label, []).append(_source(value))
                defaults = value.__defaults__ or (), value.__kwdefaults__ or {}
                todo += [*_reads(value), (f"{label}, defaults", defaults)]
            else:
                own = {key: it for key, it in vars(value).items() if callable(it) or not key.startswith("__")}
                todo += [(f"{label}.{key}", it) for key, it in own.items()]
        elif isinstance(value, SIMPLE + COLLECTION):
            leaves = list(_leaves(value))
            simple = repr([leaf for leaf in leaves if isinstance(leaf, SIMPLE)])
            if simple != "[]" and simple not in texts.setdefault(name, []):
                texts[name].append(simple)
            todo += [(name, leaf) for leaf in leaves if not isinstance(leaf, SIMPLE)]
        elif module == home:  # an object of a class of this module
            todo.append((name, type(value)))
    texts |= {part: [text] for part, text in _modules(used).items()}
    return {name: _hash("".join(sorted(parts))) for name, parts in sorted(texts.items()) if parts}


def _bare(value: object, home: str | None = None) -> object:
    """A function without what other modules than `home` wrapped around it; anything else as it is."""
    value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    if not callable(value) or isinstance(value, type):
        return value
    return inspect.unwrap(value, stop=lambda one: home is not None and _module(one) == home)


def _module(value: object) -> str | None:
    """Where the code of a module, a class, a function or an object was written, whatever a wrapper says of itself."""
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, FunctionType):
        return value.__globals__.get("__name__")
    return getattr(value if isinstance(value, type) else type(value), "__module__", None)


def _reads(function: FunctionType) -> Iterator[tuple[str, object]]:
    """What a function, and those inside it, read from outside: names and values."""
    for code in _codes(function.__code__):
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in function.__globals__:
                yield step.argval, function.__globals__[step.argval]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # it may have no value yet
            yield name, cell.cell_contents


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _leaves(value: object) -> Iterator[object]:
    """What a collection holds at any depth, a dictionary's keys too, in an order that depends on nothing else."""
    if isinstance(value, dict):
        value = list(value.items())
    elif isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    if not isinstance(value, COLLECTION):
        yield value
    else:
        for one in value:
            yield from _leaves(one)


def _source(function: FunctionType) -> str:
    """What the source says; if there is none to be had, the names and constants that the code holds."""
    code = function.__code__  # not of what it wraps; `inspect.getsource` looks through all modules for its file
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, function.__globals__)[code.co_firstlineno - 1 :]
    with contextlib.suppress(SyntaxError):
        if lines:
            return _text(ast.parse(textwrap.dedent("".join(inspect.getblock(lines)))))
    return repr([(one.co_names, [it for it in one.co_consts if isinstance(it, SIMPLE)]) for one in _codes(code)])


def _modules(names: Iterable[str]) -> dict[str, str]:
    """The texts of these modules of this package, and of all in it that these import."""
    found: dict[str, str] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        origin = _origin(name)
        if origin is not None and name not in found:
            spec = getattr(sys.modules.get(name), "__spec__", None)
            source = getattr(getattr(spec, "loader", None), "source", None)
            found[name], imported = _parsed(origin.read_bytes(), source)
            todo += imported
    return found


@functools.cache
def _parsed(now: bytes, source: bytes | None) -> tuple[str, list[str]]:
    """The text of a module, and the modules of this package that it imports.

    If `source`, which was imported, is other code than what the file holds `now`, the text begins with EDITED.
    """
    tree, names = ast.parse(now), []
    text = _text(tree)
    if source not in (None, now) and _text(ast.parse(source)) != text:
        text = f"{EDITED}: {_text(ast.parse(source))} {text}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [one if one.partition(".")[0] == PACKAGE and _origin(one) else node.module for one in inside]
    return text, sorted({name for name in names if name.partition(".")[0] == PACKAGE})


def _origin(name: str) -> Path | None:
    """The source of a module; None if this is no module, or has none."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and (spec.origin or "").endswith(".py") else None


def _text(tree: object) -> str:
    """A syntax tree without positions, empty fields (which Pythons differ in) and strings that do nothing."""

    def alone(node):  # a docstring, or another string to nobody
        lone = node.value if isinstance(node, ast.Expr) else None
        return isinstance(lone, ast.Constant) and isinstance(lone.value, str)

    def text(node):  # calls itself tens of thousands of times: too often for a look at its arguments
        if isinstance(node, list):
            return f"[{', '.join(text(one) for one in node if not alone(one))}]"
        if isinstance(node, ast.AST):
            fields = [(name, it) for name, it in ast.iter_fields(node) if it not in (None, []) and name != "kind"]
            return f"{type(node).__name__}({', '.join(f'{name}={text(it)}' for name, it in fields)})"
        return repr(node)

    return text(tree)


def _hash(text: str) -> str:
    found = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{EDITED}: {found}" if text.startswith(EDITED) else found
