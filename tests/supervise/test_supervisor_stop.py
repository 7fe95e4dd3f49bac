"""The supervisor goes down in order, without a process or a second of waiting."""

from __future__ import annotations

from tbtwist.net.runtime import runtime_dir
from tests.supervise.cases import SupervisorCase


class StopTests(SupervisorCase):
    """Going down in order."""

    def test_broker_last(self) -> None:
        """Ws workers drain first, then http workers, who are needed for that.

        The broker leaves when all of them are gone.
        """
        self.start_all()
        stopping = self.supervisor.stop(10)
        self.assertEqual(self.states(), ["running", "running", "running", "draining"])
        self.latest("ws-1").exits(0)
        self.assertEqual(self.states(), ["running", "draining", "draining", "stopped"])
        for worker_id in ("http-1", "http-2"):
            self.assertEqual(self.latest("broker").signals, [])
            self.assertEqual(self.latest(worker_id).signals, ["TERM"])
            self.latest(worker_id).exits(0)
        self.assertEqual(self.latest("broker").signals, ["TERM"])
        self.assertNoResult(stopping)
        self.latest("broker").exits(0)
        self.successResultOf(stopping)
        self.assertEqual(self.states(), ["stopped"] * 4)

    def test_nothing_is_left(self) -> None:
        """Afterwards ports, locks, sockets and timers are free."""
        self.start_all()
        self.end()
        self.assertEqual((self.network.open, self.reactor.notify), ({}, {}))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(list(runtime_dir(self.data_dir).iterdir()), [])
        self.supervisor = self.another()
        self.start_all()

    def test_new_clients_are_refused(self) -> None:
        """From the order to stop on, no connection waits in a queue for nobody."""
        self.start_all()
        self.supervisor.stop(10)
        self.assertEqual(list(self.network.open), [])

    def test_ended(self) -> None:
        """Who waits for the end hears of it after who asked for it."""
        self.start_all()
        heard: list[str] = []
        self.supervisor.when_ended().addCallback(lambda _: heard.append("ended"))
        self.supervisor.stop(10).addCallback(lambda _: heard.append("stopped"))
        self.kill_alive()
        self.assertEqual(heard, ["stopped", "ended"])

    def test_stragglers(self) -> None:
        """Who has not left in its time is killed; the broker gets a last second.

        Ws workers may take two thirds of the time, so that http workers have some.
        """
        self.start_all()
        stopping = self.supervisor.stop(9)
        self.reactor.advance(6)
        self.assertEqual(self.latest("ws-1").signals, ["TERM", "KILL"])
        self.latest("ws-1").killed()
        self.latest("http-1").exits(0)
        self.reactor.advance(3)
        self.assertEqual(self.latest("http-1").signals, ["TERM"])
        self.assertEqual(self.latest("http-2").signals, ["TERM", "KILL"])
        self.latest("http-2").killed()
        self.assertEqual(self.latest("broker").signals, ["TERM"])
        self.reactor.advance(1)
        self.assertEqual(self.latest("broker").signals, ["TERM", "KILL"])
        self.latest("broker").killed()
        self.successResultOf(stopping)
        last_exit = self.worker("ws-1").last_exit
        assert last_exit is not None
        self.assertEqual(last_exit.reason, "killed: it did not stop in time")

    def test_hurry(self) -> None:
        """Asked again with less time, the nearer deadline counts for everybody."""
        self.start_all()
        first, second = self.supervisor.stop(60), self.supervisor.stop(1)
        self.reactor.advance(1)
        self.assertEqual(self.latest("ws-1").signals, ["TERM", "KILL"])
        self.kill_alive()
        self.successResultOf(first)
        self.successResultOf(second)

    def test_more_time_is_not_given(self) -> None:
        """Asked again with more time, the first deadline still counts."""
        self.start_all()
        self.supervisor.stop(1)
        self.supervisor.stop(60)
        self.reactor.advance(1)
        self.assertEqual(self.latest("ws-1").signals, ["TERM", "KILL"])

    def test_stop_while_starting(self) -> None:
        """A system that is coming up can be stopped; nothing more is started."""
        self.start()
        stopping = self.supervisor.stop(10)
        self.assertEqual(self.latest("broker").signals, ["TERM"])
        self.latest("broker").killed()
        self.successResultOf(stopping)
        self.assertEqual(len(self.reactor.processes), 1)

    def test_stop_service(self) -> None:
        """As a service it stops within the time of the settings."""
        self.start_all()
        stopping = self.supervisor.stopService()
        self.reactor.advance(15)
        self.assertEqual(self.latest("ws-1").signals, ["TERM", "KILL"])
        self.kill_alive()
        self.successResultOf(stopping)

    def test_broker_dies_while_workers_drain(self) -> None:
        """A broker that dies during the drain is replaced: workers still need it."""
        self.start_all()
        stopping = self.supervisor.stop(10)
        self.latest("broker").killed()
        self.reactor.advance(0.3)
        self.assertEqual(self.worker("broker").state, "starting")
        self.kill_alive()
        self.successResultOf(stopping)
