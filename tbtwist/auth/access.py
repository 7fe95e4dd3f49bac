"""Who may call what (contract §2, "Access"); pure.

`decide` is one table: the first rule that has an opinion decides, and the last
one always has one. Being public
answers who may call; ``api=False`` and ``api_methods`` are what a function's
decorator says about itself, so they hold for public functions as well (§10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from tbtwist.auth.session import ADMIN, ANONYMOUS, USER
from tbtwist.config.schema import Settings

_PUBLIC_AUTH: Final = frozenset(
    {
        "passkey_login_start",
        "passkey_login_finish",
        "passkey_register_start",
        "passkey_register_finish",
        "verify_magic_link",
        "check_magic_link_status",
        "verify_device_invite",
        "verify_session_token",
        "get_discord_auth_url",
        "get_google_auth_url",
        "login_discord",
        "login_google",
        "validate_session",
        "refresh_token",
    }
)
"""R1.7: the functions of CloudM.Auth that people need before they are somebody."""


@attrs.frozen
class Subject:
    """Who calls."""

    level: int
    authenticated: bool

    @property
    def effective_level(self) -> int:
        """Return the level that counts: nobody's is 0 whatever a value says."""
        return self.level if self.authenticated else ANONYMOUS


NOBODY: Final = Subject(level=ANONYMOUS, authenticated=False)
"""Who calls without saying who it is."""


@attrs.frozen
class Target:
    """What is called. ``methods`` None means every method.

    ``level`` None or -1 means that the function does not say (a level of -1 is
    the default of ToolBoxV2's decorator). ``takes_request`` matters to the legacy
    mode alone.
    """

    module: str
    function: str
    api: bool = True
    level: int | None = None
    methods: frozenset[str] | None = None
    takes_request: bool = False

    @property
    def dotted(self) -> str:
        """Return ``Module.function``, as in ``level_requirements``."""
        return f"{self.module}.{self.function}"


@attrs.frozen
class Allowed:
    """Go ahead."""


@attrs.frozen
class NeedsIdentity:
    """Nobody may do this without saying who they are."""

    message: str = "Authentication required"


@attrs.frozen
class Forbidden:
    """We know who it is, and they may not."""

    message: str


@attrs.frozen
class NotExposed:
    """From outside, there is no such function."""


@attrs.frozen
class MethodNotAllowed:
    """The function exists, but not for this method."""

    allowed: tuple[str, ...]


Decision = Allowed | NeedsIdentity | Forbidden | NotExposed | MethodNotAllowed


@attrs.frozen
class AccessRules:
    """What the configuration says about access."""

    open_modules: frozenset[str] = frozenset()
    allowed_modules: frozenset[str] = frozenset()
    level_requirements: Mapping[str, int] = attrs.Factory(dict)
    admin_modules: frozenset[str] = frozenset()
    default_level: int = 1
    legacy: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> AccessRules:
        """Return the rules that ``settings`` spells out."""
        toolbox = settings.toolbox
        return cls(
            open_modules=frozenset(toolbox.open_modules),
            allowed_modules=frozenset(toolbox.api_allowed_mods),
            level_requirements=dict(toolbox.level_requirements),
            admin_modules=frozenset(toolbox.admin_modules),
            default_level=toolbox.default_required_level,
            legacy=settings.compat.legacy_access,
        )

    def is_open(self, target: Target) -> bool:
        """Whether names alone make ``target`` public, also in the legacy mode."""
        return (
            target.module in self.open_modules
            or target.function.lower().startswith("open")
            or (target.module == "CloudM.Auth" and target.function in _PUBLIC_AUTH)
        )

    def required_level(self, target: Target) -> int:
        """Return the level that ``target`` needs; the most specific rule wins."""
        for name in (target.dotted, target.module):
            if name in self.level_requirements:
                return self.level_requirements[name]
        if target.level in (1, 2):
            return target.level
        return ADMIN if target.module in self.admin_modules else self.default_level


@attrs.frozen
class _Question:
    rules: AccessRules
    subject: Subject
    target: Target
    method: str | None


_Rule = Callable[[_Question], Decision | None]


def _exposed(question: _Question) -> Decision | None:
    return None if question.target.api else NotExposed()


def _reachable_as_before(question: _Question) -> Decision | None:
    """Hide what ToolBoxV2 could not call: it passes ``request`` to all (R1.3, S2)."""
    target = question.target
    return None if target.api or target.takes_request else NotExposed()


def _method_allowed(question: _Question) -> Decision | None:
    methods, method = question.target.methods, question.method
    if methods is None or method is None or method in methods:
        return None
    if method == "HEAD" and "GET" in methods:
        return None
    return MethodNotAllowed(tuple(sorted(methods)))


def _public(question: _Question) -> Decision | None:
    is_open = question.rules.is_open(question.target) or question.target.level == 0
    return Allowed() if is_open else None


def _open_by_name(question: _Question) -> Decision | None:
    return Allowed() if question.rules.is_open(question.target) else None


def _listed(question: _Question) -> Decision | None:
    listed = question.rules.allowed_modules
    return NotExposed() if listed and question.target.module not in listed else None


def _level_suffices(question: _Question) -> Decision | None:
    level = question.subject.effective_level
    required = question.rules.required_level(question.target)
    if level == ADMIN or 0 <= required <= level:
        return Allowed()
    if not question.subject.authenticated:
        return NeedsIdentity()
    if required == ADMIN:
        return Forbidden("Admin access required")
    return Forbidden(f"Insufficient permissions (level {level}, required {required})")


def _anybody_known(question: _Question) -> Decision | None:
    level = question.subject.effective_level
    return Allowed() if level == ADMIN or level >= USER else NeedsIdentity()


_RULES: Final[tuple[_Rule, ...]] = (
    _exposed,
    _method_allowed,
    _public,
    _listed,
    _level_suffices,
)
_LEGACY_RULES: Final[tuple[_Rule, ...]] = (
    _reachable_as_before,
    _open_by_name,
    _anybody_known,
)


def decide(
    rules: AccessRules, subject: Subject, target: Target, method: str | None
) -> Decision:
    """Say whether ``subject`` may call ``target`` with ``method``.

    ``method`` is None where there is none (a WebSocket). With
    ``compat.legacy_access`` only names and "somebody or nobody" count, which is
    what ToolBoxV2 really does (R1.7, first variant); of functions with
    ``api=False``, those that take ``request`` are reachable then, as there.
    """
    question = _Question(rules, subject, target, method)
    table = _LEGACY_RULES if rules.legacy else _RULES
    for rule in table:
        opinion = rule(question)
        if opinion is not None:
            return opinion
    msg = "the last rule always has an opinion"
    raise AssertionError(msg)
