"""Contract §2's sentence about access, in other words than ours, to compare with."""

from __future__ import annotations

from tbtwist.auth.access import (
    AccessRules,
    Allowed,
    Decision,
    Forbidden,
    MethodNotAllowed,
    NeedsIdentity,
    NotExposed,
    Subject,
    Target,
)

PUBLIC_AUTH = (
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
)


def by_the_contract(
    rules: AccessRules, subject: Subject, target: Target, method: str | None
) -> Decision:
    """Decide as the contract says."""
    if rules.legacy:
        return _legacy(rules, subject, target)
    if not (target.api and _method_is_allowed(target, method)):
        others = MethodNotAllowed(tuple(sorted(target.methods or ())))
        return others if target.api else NotExposed()
    if _is_opened(rules, target) or target.level == 0:
        return Allowed()
    if rules.allowed_modules and target.module not in rules.allowed_modules:
        return NotExposed()
    return _by_level(subject, _required(rules, target))


def _legacy(rules: AccessRules, subject: Subject, target: Target) -> Decision:
    if not (target.api or target.takes_request):
        return NotExposed()
    somebody = subject.authenticated and subject.level in {-1, 1, 2}
    opened = _is_opened(rules, target)
    return Allowed() if opened or somebody else NeedsIdentity()


def _is_opened(rules: AccessRules, target: Target) -> bool:
    in_auth = target.module == "CloudM.Auth" and target.function in PUBLIC_AUTH
    begins = target.function[:4].casefold() == "open"
    return in_auth or begins or target.module in rules.open_modules


def _method_is_allowed(target: Target, method: str | None) -> bool:
    if target.methods is None or method is None:
        return True
    also = {"GET"} if method == "HEAD" else set()
    return bool(({method} | also) & target.methods)


def _required(rules: AccessRules, target: Target) -> int:
    stated = [
        rules.level_requirements.get(f"{target.module}.{target.function}"),
        rules.level_requirements.get(target.module),
        target.level if target.level in {1, 2} else None,
        -1 if target.module in rules.admin_modules else None,
        rules.default_level,
    ]
    return next(each for each in stated if each is not None)


def _by_level(subject: Subject, required: int) -> Decision:
    level = subject.level if subject.authenticated else 0
    if level == -1 or (required != -1 and level >= required):
        return Allowed()
    if not subject.authenticated:
        return NeedsIdentity()
    words = f"Insufficient permissions (level {level}, required {required})"
    return Forbidden("Admin access required" if required == -1 else words)
