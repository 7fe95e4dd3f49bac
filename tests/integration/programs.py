"""Small programs that stand in for workers and for a manager, as text."""

WORKER = '''
"""Serves its pid on the inherited listener; drains on SIGTERM and at the lifeline's end."""
import os, select, signal, socket, sys

names = os.environ["LISTEN_FDNAMES"].split(":")
fds = {name: 3 + position for position, name in enumerate(names)}
assert int(os.environ["LISTEN_FDS"]) == len(names)
wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
signal.signal(signal.SIGTERM, lambda *_: None)


def tell(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(os.environ["NOTIFY_SOCKET"])
        notify.send(text.encode())


listener = None
for name in ("http", "ws"):
    if name in fds:
        listener = socket.socket(fileno=fds[name])
        listener.setblocking(False)
watched = [wake, fds["lifeline"]] + ([listener] if listener else [])
print(sys.argv[1], "generation", os.environ["TB_GENERATION"], flush=True)
tell("READY=1\\nSTATUS=serving")
while True:
    ready, _, _ = select.select(watched, [], [], 1)
    if fds["lifeline"] in ready:
        # no print: nobody reads the pipes any more
        listener and listener.close()
        select.select([], [], [], float(os.environ.get("LINGER_S", "0")))
        sys.exit(0)
    if wake in ready:
        tell("STOPPING=1")
        sys.exit(0)
    if listener in ready:
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            continue
        client.sendall(str(os.getpid()).encode())
        client.close()
    tell("WATCHDOG=1")
'''

BROKEN = """
import sys
print("starting")
sys.exit("there is no such module")
"""

MANAGER = '''
"""A manager of one http worker that says where it is, and then just runs."""
import os, random, sys, time
from twisted.internet import reactor
from tbtwist.config.schema import HttpWorker, Manager, Settings, WsWorker
from tbtwist.supervise.supervisor import Supervisor
from tbtwist.supervise.world import Hooks, World

data_dir, worker = sys.argv[1:]
settings = Settings(
    data_dir=data_dir,
    http_worker=HttpWorker(port=0, workers=1),
    ws_worker=WsWorker(workers=0),
    manager=Manager(web_ui_port=0),
)
world = World(
    reactor=reactor, environ=os.environ, pid=os.getpid(), now=time.time, random=random.random,
    command=lambda spec: (sys.executable, worker, spec.id), measure=lambda pid: None,
    reload=lambda: settings,
)
supervisor = Supervisor(settings, world, Hooks())


def up(_):
    broker, http = supervisor.status().workers
    print(http.port, http.pid, flush=True)


supervisor.startService()
supervisor.when_up().addCallback(up)
reactor.run()
'''
