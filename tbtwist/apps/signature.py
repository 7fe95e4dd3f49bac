"""What can be known about a function when it is registered, and how to call it.

Every function is looked at once; a call is then a matter of dictionary look-ups.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final

import attrs
from twisted.logger import Logger

from tbtwist.apps.arguments import Convert, converter, spread
from tbtwist.errors import BadArgument, MissingArgument

_log = Logger()

APP_NAMES: Final = ("self", "state", "app")
"""A first parameter of this name gets the `App` (R8.2, step 5)."""

_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


@attrs.frozen
class Parameter:
    """One parameter that a caller may fill.

    ``annotation`` is Any where ``convert`` is None.
    """

    name: str
    required: bool
    default: Any
    convert: Convert | None
    positional_only: bool
    annotation: Any = Any

    def value(self, given: Mapping[str, Any]) -> Any:
        """Return what to pass for it; `MissingArgument` where there is nothing.

        A parameter whose default is None takes null, whatever its annotation says.
        """
        if self.name not in given:
            if self.required:
                raise MissingArgument(self.name)
            return self.default
        value = given[self.name]
        if self.convert is None or (value is None and self.default is None):
            return value
        return self.convert(self.name, value)


@attrs.frozen
class Call:
    """A call, ready to be made."""

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    is_coroutine: bool

    @classmethod
    def of(cls, func: Callable[..., Any], *args: Any) -> Call:
        """Return the call of ``func`` with ``args``, just as they are."""
        return cls(func, args, {}, _is_coroutine(func))

    def __call__(self) -> Any:
        """Make the call."""
        return self.func(*self.args, **self.kwargs)


@attrs.frozen
class Signature:
    """The facts about a function.

    ``app_name`` is the first parameter's name where that gets the app.
    """

    func: Callable[..., Any]
    parameters: Mapping[str, Parameter]
    app_name: str | None
    open_ended: bool
    is_coroutine: bool

    @classmethod
    def of(cls, func: Callable[..., Any], label: str) -> Signature:
        """Look at ``func``; ``label`` names it in the log.

        An annotation that cannot be understood is logged, and its parameter is
        passed on as it comes.
        """
        found = list(inspect.signature(func).parameters.values())
        app_name = None
        if found and found[0].name in APP_NAMES and found[0].kind in _POSITIONAL:
            app_name = found.pop(0).name
        hints = _hints(func, label)
        named = [p for p in found if p.kind not in _VARIADIC]
        return cls(
            func=func,
            parameters={p.name: _parameter(p, hints, label) for p in named},
            app_name=app_name,
            open_ended=any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found),
            is_coroutine=_is_coroutine(func),
        )

    def bind(
        self, app: object, kwargs: Mapping[str, Any], *, hidden: bool = False
    ) -> Call:
        """Return the call with ``kwargs``, converted; strays are left out.

        With ``hidden``, ``request`` is left out too unless there is a parameter of
        that name.

        Raises:
            BadArgument: a value does not fit its annotation.
            MissingArgument: a parameter without a default got no value.
        """
        given = spread(kwargs, self.parameters)
        args: list[Any] = [app] if self.app_name else []
        named: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            if parameter.positional_only:
                args.append(parameter.value(given))
            elif parameter.required or name in given:
                named[name] = parameter.value(given)
        if self.open_ended:
            named.update(self._strays(given, hidden=hidden))
        return Call(self.func, tuple(args), named, self.is_coroutine)

    def _strays(self, given: Mapping[str, Any], *, hidden: bool) -> dict[str, Any]:
        unwelcome = {self.app_name, "request" if hidden else None}
        return {
            name: value
            for name, value in given.items()
            if name not in self.parameters and name not in unwelcome
        }

    def positional(self, args: tuple[Any, ...]) -> dict[str, Any]:
        """Return ``args`` under the names of the parameters that they fill.

        Raises:
            BadArgument: there are more values than parameters.
        """
        if len(args) > len(self.parameters):
            raise BadArgument("*args", f"at most {len(self.parameters)} values fit")
        return dict(zip(self.parameters, args, strict=False))


_VARIADIC: Final = (
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)


def _is_coroutine(func: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(
        getattr(func, "__call__", None)  # noqa: B004 - asked whether it is async
    )


def _parameter(
    parameter: inspect.Parameter, hints: Mapping[str, Any], label: str
) -> Parameter:
    name = parameter.name
    convert = None
    if name in hints and name != "request":
        try:
            convert = converter(hints[name])
        except Exception as error:  # noqa: BLE001 - as in _hints
            _warn_of(label, name, error)
    return Parameter(
        name,
        required=parameter.default is inspect.Parameter.empty,
        default=parameter.default,
        convert=convert,
        positional_only=parameter.kind is inspect.Parameter.POSITIONAL_ONLY,
        annotation=Any if convert is None else hints[name],
    )


def _hints(func: Callable[..., Any], label: str) -> dict[str, Any]:
    """Return the resolved annotations, each for itself."""
    target = inspect.unwrap(func)
    names = vars(inspect.getmodule(target) or SimpleNamespace())
    scope = getattr(target, "__globals__", names)
    hints: dict[str, Any] = {}
    for name, annotation in getattr(target, "__annotations__", {}).items():
        if name == "return":
            continue
        holder = SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= typing.get_type_hints(holder, scope, include_extras=True)
        except Exception as error:  # noqa: BLE001 - any expression may stand there
            _warn_of(label, name, error)
    return hints


def _warn_of(label: str, name: str, error: Exception) -> None:
    _log.warn(
        "{label}: the annotation of {name} cannot be used, what clients send is "
        "passed on as it comes: {error}",
        label=label,
        name=name,
        error=str(error),
    )
