"""Who may call what: contract §2's table, row by row and at random."""

from __future__ import annotations

import attrs
from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

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
    decide,
)
from tbtwist.config.schema import Compat, Settings, Toolbox
from tests.auth.contract import by_the_contract

NOBODY = Subject(0, authenticated=False)
USER = Subject(1, authenticated=True)
TRUSTED = Subject(2, authenticated=True)
ADMIN = Subject(-1, authenticated=True)

RULES = AccessRules(
    open_modules=frozenset({"Open"}),
    level_requirements={"Shop": 2, "Shop.look": 0, "Shop.audit": -1},
    admin_modules=frozenset({"Admin"}),
)

subjects = st.builds(Subject, st.integers(-1, 2), st.booleans())
names = st.sampled_from(["Open", "Shop", "Admin", "CloudM.Auth", "X"])
functions = st.sampled_from(["look", "audit", "openTo", "login_google", "f"])
methods = st.sampled_from(["GET", "HEAD", "POST", "DELETE"])
targets = st.builds(
    Target,
    names,
    functions,
    st.booleans(),
    st.none() | st.integers(-1, 2),
    st.none() | st.frozensets(methods, min_size=1),
)
rules = st.builds(
    AccessRules,
    open_modules=st.frozensets(names),
    allowed_modules=st.frozensets(names),
    level_requirements=st.dictionaries(
        names | st.just("Shop.look"), st.integers(-1, 2)
    ),
    admin_modules=st.frozensets(names),
    default_level=st.integers(-1, 2),
)

every_subject = st.one_of(
    st.just(NOBODY),
    st.just(USER),
    st.just(TRUSTED),
    st.just(ADMIN),
    st.builds(Subject, st.sampled_from([-1, 0, 1, 2]), st.just(False)),
)
every_target = st.builds(
    Target,
    names,
    functions | st.sampled_from(["Open", "ope", "validate_session", "a/open"]),
    st.booleans(),
    st.none() | st.integers(-1, 2),
    st.none() | st.frozensets(methods, min_size=1),
    st.booleans(),
)
every_rules = st.builds(
    AccessRules,
    open_modules=st.frozensets(names, max_size=2),
    allowed_modules=st.frozensets(names),
    level_requirements=st.dictionaries(
        names
        | st.builds("{}.{}".format, names, functions)
        | st.sampled_from(["look", "Shop.look.x"]),
        st.integers(-1, 2),
        max_size=5,
    ),
    admin_modules=st.frozensets(names),
    default_level=st.integers(-1, 2),
    legacy=st.booleans(),
)


def ask(
    target: Target,
    subject: Subject = NOBODY,
    *,
    rules: AccessRules = RULES,
    method: str | None = "GET",
) -> Decision:
    """Decide under the rules of this module."""
    return decide(rules, subject, target, method)


class PublicTests(SynchronousTestCase):
    """What everybody may call."""

    def test_public(self) -> None:
        """Open modules, open… functions, the login functions and level 0 need nobody."""
        for target in (
            Target("Open", "f"),
            Target("X", "openDoor"),
            Target("X", "OPEN"),
            Target("CloudM.Auth", "login_google"),
            Target("X", "f", level=0),
            Target("Admin", "f", level=0),
        ):
            self.assertEqual(ask(target), Allowed(), target)

    def test_not_public(self) -> None:
        """Names that only look similar are not public."""
        for target in (
            Target("Opened", "f"),
            Target("X", "reopen"),
            Target("X", "login_google"),
            Target("CloudM.Auth", "delete_user"),
        ):
            self.assertEqual(ask(target), NeedsIdentity(), target)

    def test_public_ignores_the_list_of_modules(self) -> None:
        """api_allowed_mods does not lock people out of what is public."""
        rules = attrs.evolve(RULES, allowed_modules=frozenset({"Shop"}))
        self.assertEqual(ask(Target("Open", "f"), rules=rules), Allowed())


class ExposureTests(SynchronousTestCase):
    """What a function says about itself holds for everybody."""

    def test_api_false(self) -> None:
        """A function with api=False is not there, public or not, admin or not."""
        for module in ("X", "Open"):
            target = Target(module, "f", api=False)
            for subject in (NOBODY, USER, ADMIN):
                self.assertEqual(ask(target, subject), NotExposed())

    def test_methods(self) -> None:
        """Another method is 405 and names the right ones, public or not."""
        target = Target("Open", "f", methods=frozenset({"PUT", "POST"}))
        self.assertEqual(ask(target), MethodNotAllowed(("POST", "PUT")))
        self.assertEqual(ask(target, method="PUT"), Allowed())

    def test_head_is_get(self) -> None:
        """Who may GET may HEAD."""
        target = Target("Open", "f", methods=frozenset({"GET"}))
        self.assertEqual(ask(target, method="HEAD"), Allowed())
        posts = Target("Open", "f", methods=frozenset({"POST"}))
        self.assertEqual(ask(posts, method="HEAD"), MethodNotAllowed(("POST",)))

    def test_a_websocket_has_no_method(self) -> None:
        """A call that comes without a method is not measured by it."""
        target = Target("Open", "f", methods=frozenset({"POST"}))
        self.assertEqual(ask(target, method=None), Allowed())

    def test_unlisted_module(self) -> None:
        """With api_allowed_mods, other modules are not there, even for admins."""
        rules = attrs.evolve(RULES, allowed_modules=frozenset({"Shop"}))
        self.assertEqual(ask(Target("X", "f"), ADMIN, rules=rules), NotExposed())
        self.assertEqual(ask(Target("Shop", "f"), TRUSTED, rules=rules), Allowed())


class LevelTests(SynchronousTestCase):
    """How much somebody must be."""

    def test_the_most_specific_requirement_wins(self) -> None:
        """Mod.func, then Mod, then the function, then admin_modules, then the default."""
        rows: list[tuple[Target, int]] = [
            (Target("Shop", "look", level=2), 0),
            (Target("Shop", "audit"), -1),
            (Target("Shop", "buy", level=1), 2),
            (Target("Admin", "f", level=1), 1),
            (Target("Admin", "f", level=-1), -1),
            (Target("Admin", "f"), -1),
            (Target("X", "f", level=2), 2),
            (Target("X", "f", level=-1), 1),
            (Target("X", "f"), 1),
        ]
        for target, required in rows:
            self.assertEqual(RULES.required_level(target), required, target)

    def test_answers(self) -> None:
        """Nobody is asked who they are; somebody is told what is missing."""
        rows: list[tuple[Target, Subject, Decision]] = [
            (Target("X", "f"), NOBODY, NeedsIdentity()),
            (Target("X", "f"), USER, Allowed()),
            (Target("Shop", "look"), NOBODY, Allowed()),
            (Target("Shop", "buy"), TRUSTED, Allowed()),
            (Target("Admin", "f"), TRUSTED, Forbidden("Admin access required")),
            (Target("Admin", "f"), NOBODY, NeedsIdentity()),
            (
                Target("Shop", "buy"),
                USER,
                Forbidden("Insufficient permissions (level 1, required 2)"),
            ),
        ]
        for target, subject, expected in rows:
            self.assertEqual(ask(target, subject), expected)

    def test_a_level_without_proof_is_nothing(self) -> None:
        """A session that says admin but is not authenticated is nobody."""
        pretender = Subject(-1, authenticated=False)
        self.assertEqual(ask(Target("X", "f"), pretender), NeedsIdentity())


class PropertyTests(SynchronousTestCase):
    """What holds under all rules."""

    @given(rules, subjects, targets, methods)
    def test_api_false_is_never_reachable(
        self, rules: AccessRules, subject: Subject, target: Target, method: str
    ) -> None:
        """No combination of settings exposes a function that says api=False."""
        if not target.api:
            self.assertEqual(decide(rules, subject, target, method), NotExposed())

    @given(rules, targets, methods)
    def test_more_rights_never_lose(
        self, rules: AccessRules, target: Target, method: str
    ) -> None:
        """What a lesser level may do, a greater one may do as well."""
        ladder = [NOBODY, USER, TRUSTED, ADMIN]
        allowed = [decide(rules, who, target, method) == Allowed() for who in ladder]
        self.assertEqual(allowed, sorted(allowed))

    @given(rules, subjects, targets, methods)
    def test_only_nobody_is_asked_for_an_identity(
        self, rules: AccessRules, subject: Subject, target: Target, method: str
    ) -> None:
        """401 is for those whom we do not know, 403 for those whom we do."""
        decision = decide(rules, subject, target, method)
        if isinstance(decision, NeedsIdentity):
            self.assertFalse(subject.authenticated)
        if isinstance(decision, Forbidden):
            self.assertTrue(subject.authenticated)

    @given(rules, subjects, targets)
    def test_admin_passes_every_level(
        self, rules: AccessRules, subject: Subject, target: Target
    ) -> None:
        """An admin is never told that a level is missing."""
        self.assertNotIsInstance(decide(rules, ADMIN, target, None), Forbidden)


class LegacyTests(SynchronousTestCase):
    """compat.legacy_access is ToolBoxV2's first variant."""

    RULES = attrs.evolve(RULES, legacy=True, allowed_modules=frozenset({"Y"}))

    def test_somebody_may_do_everything(self) -> None:
        """Anybody known calls anything; level, methods and lists do not count."""
        target = Target("Admin", "f", level=2, methods=frozenset({"PUT"}))
        self.assertEqual(ask(target, USER, rules=self.RULES), Allowed())
        self.assertEqual(ask(target, NOBODY, rules=self.RULES), NeedsIdentity())

    def test_open_names_stay_open(self) -> None:
        """Open names stay public, and level=0 does not count."""
        self.assertEqual(ask(Target("Open", "f"), rules=self.RULES), Allowed())
        zero = Target("X", "f", level=0)
        self.assertEqual(ask(zero, rules=self.RULES), NeedsIdentity())

    def test_api_false(self) -> None:
        """As in ToolBoxV2, api=False hides what cannot take the request, and only that."""
        for module in ("Open", "Admin"):
            hidden = Target(module, "f", api=False)
            self.assertEqual(ask(hidden, ADMIN, rules=self.RULES), NotExposed())
            taking = attrs.evolve(hidden, takes_request=True)
            self.assertEqual(ask(taking, USER, rules=self.RULES), Allowed())
            self.assertEqual(ask(taking, USER), NotExposed())

    def test_levels_that_there_are_not(self) -> None:
        """A level below admin's is nobody's."""
        strange = Subject(-5, authenticated=True)
        self.assertEqual(
            ask(Target("X", "f"), strange, rules=self.RULES), NeedsIdentity()
        )


class TableTests(SynchronousTestCase):
    """The whole table against the contract's sentence."""

    @given(every_rules, every_subject, every_target, st.none() | methods)
    @settings(max_examples=1000)
    def test_as_the_contract_says(
        self,
        rules: AccessRules,
        subject: Subject,
        target: Target,
        method: str | None,
    ) -> None:
        """Every combination of settings, caller and function is decided as written."""
        expected = by_the_contract(rules, subject, target, method)
        self.assertEqual(decide(rules, subject, target, method), expected)

    @given(every_rules, every_target, methods)
    def test_legacy_never_asks_for_levels(
        self, rules: AccessRules, target: Target, method: str
    ) -> None:
        """In the legacy mode nobody known is ever told that something is missing."""
        legacy = attrs.evolve(rules, legacy=True)
        for who in (USER, TRUSTED, ADMIN):
            decision = decide(legacy, who, target, method)
            self.assertIsInstance(decision, Allowed | NotExposed)

    @given(every_rules, every_subject, every_target, methods)
    def test_the_switch_is_off(
        self, rules: AccessRules, subject: Subject, target: Target, method: str
    ) -> None:
        """Unless switched on, nothing of the legacy mode shows."""
        strict = attrs.evolve(rules, legacy=False)
        plain = attrs.evolve(target, takes_request=not target.takes_request)
        self.assertEqual(
            decide(strict, subject, target, method),
            decide(strict, subject, plain, method),
        )


class SettingsTests(SynchronousTestCase):
    """The rules come from the file."""

    def test_from_settings(self) -> None:
        """Every key of contract §2 arrives in the rules."""
        toolbox = Toolbox(
            open_modules=("O",),
            api_allowed_mods=("A",),
            level_requirements={"M.f": 2},
            admin_modules=("Z",),
            default_required_level=2,
        )
        settings = Settings(toolbox=toolbox, compat=Compat(legacy_access=True))
        self.assertEqual(
            AccessRules.from_settings(settings),
            AccessRules(
                open_modules=frozenset({"O"}),
                allowed_modules=frozenset({"A"}),
                level_requirements={"M.f": 2},
                admin_modules=frozenset({"Z"}),
                default_level=2,
                legacy=True,
            ),
        )
