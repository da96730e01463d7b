"""BFCL's tool classes: a table of their methods, and instances that belong to one rollout.

The classes are the official ones, from the installed package bfcl-eval. Only their own modules are
imported: others of the package create folders and load model clients.
"""

import copy
import decimal
import importlib
import importlib.util
import inspect
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from rest_verl.environments.bfcl_limits import LIMITS, Limit
from rest_verl.files.json_lines import read_json_lines

PACKAGE = "bfcl-eval"
_SOURCES = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code"
CLASSES: dict[str, tuple[str, str]] = {
    "GorillaFileSystem": ("gorilla_file_system", "gorilla_file_system"),
    "MathAPI": ("math_api", "math_api"),
    "MessageAPI": ("message_api", "message_api"),
    "TicketAPI": ("ticket_api", "ticket_api"),
    "TradingBot": ("trading_bot", "trading_bot"),
    "TravelAPI": ("travel_booking", "travel_booking"),
    "TwitterAPI": ("posting_api", "posting_api"),
    "VehicleControlAPI": ("vehicle_control", "vehicle_control"),
}
"""Class -> its module, and the file with the docs of its functions."""

_FORBIDDEN = frozenset(("kill", "exit", "quit", "remove", "unlink", "popen", "Popen", "run"))
_LONGEST_NAME = 80

Scope = Callable[[], AbstractContextManager[Any]]
"""Around a call that changes what the whole process shares: undoes the change."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One public method of one class."""

    owner: str
    function: Callable[..., Any]
    """Takes the instance first."""
    parameters: tuple[str, ...]
    defaults: Mapping[str, Any]
    shared: tuple[str, ...]
    """Parameters whose default is a list or a dict, so one object for all calls."""
    limit: Limit | None
    scope: Scope


class Commons:
    """What the official classes share between all instances of a process, for one rollout alone.

    Some state is one object for all instances: default arguments, and in long_context the stock of
    credit cards. The two sides of a rollout, the model's and the ground truth's, share one Commons,
    because in an official process of their own they would share those objects, and its verdict
    depends on it: a wrong name added by `mention` to a tweet posted without mentions, say, is added
    on both sides.
    """

    def __init__(self) -> None:
        self._own: dict[int, Any] = {}

    def own(self, original: Any) -> Any:
        """This rollout's copy of an object that lives as long as the process."""
        if (mine := self._own.get(id(original))) is None:
            mine = self._own[id(original)] = copy.copy(original)
        return mine


class Instances:
    """One side's instances of the involved classes, and the calls on them."""

    def __init__(
        self,
        classes: tuple[str, ...],
        config: Mapping[str, Any],
        *,
        long_context: bool,
        commons: Commons,
    ) -> None:
        self.by_class = {
            name: _load(name, config.get(name, {}), long_context, commons) for name in classes
        }
        self._methods = method_table(classes)
        self._commons = commons

    def run(self, name: str, arguments: dict[str, Any]) -> str:
        """The observation of one call, as the official executor writes it; errors are texts too.

        The name is looked up in the table of public methods and nowhere else. `arguments` is handed
        over: the method may keep or change what is in it.
        """
        method = self._methods.get(name)
        if method is None:
            return f"Error during execution: {_refusal(name)}"
        instance = self.by_class[method.owner]
        for parameter in method.shared:
            if parameter not in arguments:
                arguments[parameter] = self._commons.own(method.defaults[parameter])
        try:
            if method.limit is not None and (reason := method.limit(instance, arguments)):
                return f"Error during execution: {reason}"
            with method.scope():
                return _text(method.function(instance, **arguments))
        except Exception as error:  # whatever a method raises is an observation
            return f"Error during execution: {error}"


@lru_cache(maxsize=256)
def method_table(classes: tuple[str, ...]) -> Mapping[str, Method]:
    """The public methods of the classes by name; of a name in two classes the later one stands.

    Raises:
        ValueError: bfcl-eval or what it needs is not installed.
    """
    return MappingProxyType({k: v for name in classes for k, v in _methods(name).items()})


@cache
def function_docs(name: str) -> tuple[dict[str, Any], ...]:
    """The docs of a class's functions in BFCL's notation, from the package. Not to be changed.

    Raises:
        ValueError: bfcl-eval is not installed, or not whole.
    """
    folder = _package_folder() / "data" / "multi_turn_func_doc"
    return tuple(doc for _, doc in read_json_lines(folder / f"{CLASSES[name][1]}.json"))


def plain_copy(value: Any) -> Any:
    """A copy of JSON-like data; much faster than `copy.deepcopy`."""
    if type(value) is dict:
        return {key: plain_copy(item) for key, item in value.items()}
    if type(value) is list:
        return [plain_copy(item) for item in value]
    return value


def _package_folder() -> Path:
    spec = importlib.util.find_spec("bfcl_eval")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"the package {PACKAGE} is not installed, and BFCL's multi-turn tools come from it: "
            f"`pip install --no-deps {PACKAGE}`"
        )
    return Path(spec.submodule_search_locations[0])


@cache
def _module(name: str) -> ModuleType:
    _package_folder()
    try:
        return importlib.import_module(f"{_SOURCES}.{name}")
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{PACKAGE}'s {name} needs {error.name}, which is not installed: "
            f"`pip install {error.name}`"
        ) from None


@cache
def _class(name: str) -> Any:
    return getattr(_module(CLASSES[name][0]), name)


@cache
def _methods(owner: str) -> dict[str, Method]:
    functions = inspect.getmembers(_class(owner), inspect.isfunction)
    return {name: _method(owner, name, f) for name, f in functions if not name.startswith("_")}


def _method(owner: str, name: str, function: Callable[..., Any]) -> Method:
    _, *parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return Method(
        owner=owner,
        function=function,
        parameters=tuple(p.name for p in parameters),
        defaults=defaults,
        shared=tuple(p for p, value in defaults.items() if isinstance(value, (list, dict, set))),
        limit=LIMITS.get((owner, name)),
        scope=_SCOPES.get((owner, name), nullcontext),
    )


def _load(name: str, config: dict[str, Any], long_context: bool, commons: Commons) -> Any:
    instance = _class(name)()
    if name == "MathAPI":  # has no state
        return instance
    # The file system only reads its configuration; the others keep parts of it and change them.
    own = config if name == "GorillaFileSystem" else plain_copy(config)
    instance._load_scenario(own, long_context=long_context)
    if name == "TravelAPI" and long_context:
        stock = _module("long_context").CREDIT_CARD_EXTENSION
        cards = instance.credit_card_list
        for card_id, card in stock.items():
            if cards[card_id] is card:
                cards[card_id] = commons.own(card)
    return instance


def _text(result: Any) -> str:
    if type(result) is str:
        return result
    if type(result) is dict:
        try:
            return json.dumps(result)
        except Exception:  # as the official executor: some results hold objects
            return str(result)
    return str(result)


def _refusal(name: str) -> str:
    """What the official executor says of a name that is no method; nothing is looked up."""
    last = name.split("(")[0]
    if "." in last:
        last = last.split(".")[1]
    if last in _FORBIDDEN:
        return f"Function call {last} is not allowed."
    unknown = name.split(".")[0]
    if len(unknown) > _LONGEST_NAME:
        unknown = unknown[:_LONGEST_NAME] + "…"
    return f"name '{unknown}' is not defined"


# --- state of the whole process that some methods change ------------------------------------------

_process_state = threading.RLock()


@contextmanager
def _mpmath_precision() -> Iterator[None]:
    # The official process keeps the precision of the last logarithm; no answer depends on it.
    import mpmath

    with _process_state, mpmath.workdps(15):
        yield


@contextmanager
def _weather_report() -> Iterator[None]:
    # In long_context the temperature is written into the module's own report.
    with _process_state:
        try:
            yield
        finally:
            _module("long_context").LONG_WEATHER_EXTENSION.pop("outsideTemperature", None)


_SCOPES: dict[tuple[str, str], Scope] = {
    ("MathAPI", "logarithm"): _mpmath_precision,
    ("MathAPI", "square_root"): decimal.localcontext,
    ("VehicleControlAPI", "get_outside_temperature_from_google"): _weather_report,
}
