"""The demo as people see it: the whole system, and a real browser before it."""

from __future__ import annotations

from playwright.sync_api import expect
from twisted.trial.unittest import TestCase

from tests.integration.browser import Browser, Visitor
from tests.integration.system import System


class ChatTests(TestCase):
    """People in the chat."""

    timeout = 180

    async def start(self) -> tuple[System, Browser, list[str]]:
        """Start the demo and a browser; return the http workers' addresses too."""
        browser = await Browser.start(self)
        system = await System.demo(self)
        ports = await system.ports("http")
        return system, browser, [f"http://127.0.0.1:{port}/" for port in ports]

    async def test_two_people(self) -> None:
        """Two people on two workers read each other, once, and see who is there."""
        _, browser, urls = await self.start()

        def scenario() -> None:
            ada, grace = browser.visit(urls[0]), browser.visit(urls[1])
            ada.come_in("Ada Lovelace")
            grace.come_in("Grace Hopper")
            ada.sees("Ada Lovelace", "Grace Hopper")
            grace.sees("Grace Hopper", "Ada Lovelace")
            ada.say("Is anybody else on this line?")
            ada.hears("Is anybody else on this line?")
            grace.hears("Is anybody else on this line?")
            grace.say("I am, through the other worker.")
            both = ("Is anybody else on this line?", "I am, through the other worker.")
            for person in (ada, grace):
                person.hears(*both)
                expect(person.page.locator(".message.own")).to_have_count(1)
                self.assertEqual([], person.complaints)
            ada.screenshot("two-people")

        await browser.run(scenario)

    async def test_reload(self) -> None:
        """I keep my name when I reload the page, and others see me once."""
        _, browser, urls = await self.start()

        def scenario() -> None:
            ada, grace = browser.visit(urls[0]), browser.visit(urls[0])
            ada.come_in("Ada")
            grace.come_in("Grace")
            ada.page.reload()
            ada.wait_for_room()
            self.assertEqual("Ada", ada.name)
            expect(ada.page.get_by_role("dialog")).to_have_count(0)
            ada.say("back again")
            grace.hears("back again")
            expect(grace.page.locator(".message .from")).to_have_text("Ada")
            grace.sees("Grace", "Ada")
            self.assertEqual([], ada.complaints + grace.complaints)

        await browser.run(scenario)

    async def test_names(self) -> None:
        """A name that cannot be is explained; guests talk too, and may name themselves."""
        _, browser, urls = await self.start()

        def scenario() -> None:
            person, other = browser.visit(urls[0]), browser.visit(urls[0])
            person.give_name("<b>Ada</b>")
            expect(person.page.get_by_text("A name cannot contain <.")).to_be_visible()
            guest = person.come_in_as_guest()
            other.come_in("Grace")
            person.say("hi")
            expect(other.page.locator(".message .from")).to_have_text(guest)
            person.page.locator("#who").click()
            person.page.get_by_label("Name", exact=True).fill("Ada")
            person.page.get_by_role("button", name="Take this name").click()
            other.sees("Grace", "Ada")
            person.wait_for_room()
            person.say("it is me")
            other.hears("hi", "it is me")
            expect(other.page.locator(".message .from").last).to_have_text("Ada")

        await browser.run(scenario)

    async def test_markup(self) -> None:
        """What somebody says is shown as text, whatever it looks like."""
        _, browser, urls = await self.start()
        nasty = (
            '<img src=x onerror="document.title=1"><script>document.title=2</script>'
        )

        def scenario() -> None:
            ada, grace = browser.visit(urls[0]), browser.visit(urls[0])
            ada.come_in("Ada")
            grace.come_in("Grace")
            ada.say(nasty)
            grace.hears(nasty)
            expect(grace.page).to_have_title("tbtwist chat")
            self.assertEqual([], grace.complaints)

        await browser.run(scenario)

    async def test_killed_workers(self) -> None:
        """When workers die, my page comes back by itself; nothing is lost or doubled."""
        system, browser, urls = await self.start()
        people: list[Visitor] = []

        def begin() -> None:
            people.extend((browser.visit(urls[0]), browser.visit(urls[0])))
            for person, name in zip(people, ("Ada", "Grace"), strict=True):
                person.come_in(name)
            people[0].say("before")
            people[1].hears("before")

        def go_on() -> None:
            ada, grace = people
            ada.say("in between")
            ada.hears("before", "in between")
            grace.wait_for_room()
            grace.say("and after")
            ada.hears("before", "in between", "and after")
            ada.sees("Ada", "Grace")

        await browser.run(begin)
        for worker in ("ws-1", "http-2"):
            await system.kill(worker)
        await browser.run(go_on)

    async def test_away_for_a_moment(self) -> None:
        """Who is away while a ws worker dies reads afterwards what the others said."""
        system, browser, urls = await self.start()
        said = ("Is everybody here?", "I still am.", "Not any more.")
        people: list[Visitor] = []

        def begin() -> None:
            people.extend(browser.visit(urls[number]) for number in (0, 0, 1))
            for person, name in zip(people, ("Ada", "Grace", "Mary"), strict=True):
                person.come_in(name)
            people[0].say(said[0])
            self.all_hear(people, *said[:1])
            self.set_offline(people[:2], offline=True)

        def talk() -> None:
            people[2].say(said[1])
            people[2].hears(*said[:2])
            self.set_offline(people[:2], offline=False)
            people[0].wait_for_room()
            people[0].say(said[2])
            self.all_hear(people, *said)
            for person in people:
                expect(person.page.get_by_text("may be missing")).to_have_count(0)
            people[1].sees("Grace", "Ada", "Mary")
            people[1].screenshot("back-again")

        await browser.run(begin)
        await system.kill("ws-1")
        await browser.run(talk)

    def all_hear(self, people: list[Visitor], *texts: str) -> None:
        """Check that everybody hears exactly this; within `Browser.run`."""
        for person in people:
            person.hears(*texts)

    def set_offline(self, people: list[Visitor], *, offline: bool) -> None:
        """Take people off the network, or bring them back; within `Browser.run`."""
        for person in people:
            person.page.context.set_offline(offline)

    async def test_every_screen(self) -> None:
        """The page fits a phone as well as a desk, in the light and in the dark."""
        _, browser, urls = await self.start()
        screens = {"desk": (1280, 800), "phone": (360, 740)}

        def scenario() -> None:
            for scheme in ("light", "dark"):
                for screen, (width, height) in screens.items():
                    person = browser.visit(
                        urls[0],
                        viewport={"width": width, "height": height},
                        color_scheme=scheme,
                    )
                    person.screenshot(f"door-{screen}-{scheme}")
                    person.come_in(f"{screen} {scheme}".title())
                    person.say(f"This is how it looks: {scheme}, {'wide' * 20}")
                    person.page.locator(".message.own:not(.pending)").wait_for()
                    person.screenshot(f"room-{screen}-{scheme}")
                    across = person.page.evaluate("document.body.scrollWidth")
                    self.assertLessEqual(across, width)

        await browser.run(scenario)

    async def test_keyboard(self) -> None:
        """I can use all of it without a mouse."""
        _, browser, urls = await self.start()

        def scenario() -> None:
            person = browser.visit(urls[0])
            expect(person.page.get_by_label("Name", exact=True)).to_be_focused()
            person.page.keyboard.type("Ada")
            person.page.keyboard.press("Enter")
            person.wait_for_room()
            box = person.page.get_by_label("Message to the room")
            expect(box).to_be_focused()
            person.page.keyboard.type("first")
            person.page.keyboard.press("Shift+Enter")
            person.page.keyboard.type("second")
            person.page.keyboard.press("Enter")
            expect(person.page.locator(".message .text")).to_have_text("first\nsecond")
            expect(box).to_be_focused()
            expect(box).to_have_value("")

        await browser.run(scenario)
