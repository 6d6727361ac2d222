"""A plugin that does one thing wrong or unusually: what its PLUGIN_ID names. It has the action PLUGIN_ID.run.

Everything is written to the socket as bytes, one connection at a time, each kept alive until the client closes it.
Each process that it starts writes itself down in the file ``processes`` of its folder: id, group, session.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

PORT = int(os.environ["PLUGIN_PORT"])
ID = os.environ["PLUGIN_ID"]
ACTION = f"{ID}.run"


def http(body, status="200 OK", version="HTTP/1.1", headers=()):
    """Return an answer with its length, as nearly every server sends it."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{version} {status}", "Content-Type: application/json", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def bare(body, status="HTTP/1.0 200 OK", headers=()):
    """Return an answer without a length: it ends where the connection does."""
    return "\r\n".join([status, *headers]).encode() + b"\r\n\r\n" + json.dumps(body).encode()


def chunked(*parts):
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"


def success(**output):
    return {"success": True, "output": output}


def info(**action):
    return {"id": ID, "name": ID, "version": "1.0.0", "actions": [{"id": ACTION, **action}]}


class Close(Exception):
    """Ends the connection after what was sent."""


class Plugin:
    """Answers by path; *answers* are bytes, or functions of (connection, body) that send for themselves."""

    def __init__(self, **answers):
        self.answers = {
            "/health": http({"status": "healthy"}),
            "/info": http(info()),
            "/execute": http(success(ok=True)),
            "/shutdown": self.shutdown,
            **{f"/{name}": answer for name, answer in answers.items()},
        }

    def run(self):
        with socket.create_server(("127.0.0.1", PORT)) as listener:
            while True:
                connection, _ = listener.accept()
                with connection:
                    self.serve(connection)

    def serve(self, connection):
        file = connection.makefile("rb")
        try:
            while line := file.readline():
                path = line.split()[1].decode()
                length = 0
                while (header := file.readline().strip()) != b"":
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                self.answer(connection, self.answers.get(path, http({}, "404 Not Found")), file.read(length))
        except (Close, ConnectionError):
            return
        finally:
            file.close()

    def answer(self, connection, answer, body):
        if callable(answer):
            answer(connection, body)
            return
        connection.sendall(answer)
        if answer.startswith(b"HTTP/1.0") or b"connection: close" in answer.lower():
            raise Close

    def shutdown(self, connection, body):
        connection.sendall(http({"message": "bye"}))
        os._exit(0)


def executes(answer):
    return lambda: Plugin(execute=answer).run()


def say(text, stream=sys.stderr):
    print(text, file=stream, flush=True)


def note_process(pid=0):
    with open("processes", "a") as file:
        file.write(f"{pid or os.getpid()} {os.getpgid(pid)} {os.getsid(pid)}\n")


# --- how it starts ---


def exits_at_once():
    say("Traceback (most recent call last):\n  File ...\nRuntimeError: no database")
    sys.exit(3)


def never_listens():
    say("thinking")
    time.sleep(600)


def listens_elsewhere():
    with socket.create_server(("127.0.0.1", 0)):
        time.sleep(600)


def listens_on_another_address():
    with socket.create_server(("127.0.0.2", PORT)):
        time.sleep(600)


def listens_late():
    time.sleep(0.4)
    Plugin().run()


def healthy_late():
    began = time.monotonic()

    def health(connection, body):
        status = "healthy" if time.monotonic() - began > 0.3 else "starting"
        connection.sendall(http({"status": status}, "200 OK" if status == "healthy" else "503 Busy"))

    Plugin(health=health).run()


def hangs(connection, body):
    time.sleep(600)


def stranger(behaviour):
    """Start a process that is no child of this one, not in its session, and without the mark of a plugin."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            signal.alarm(120)
            environment = {**os.environ, "PLUGIN_ID": behaviour}
            del environment["TESTMESH_GUARD"]
            os.execve(sys.executable, [sys.executable, __file__], environment)
        os._exit(0)
    os.waitpid(child, 0)


def stranger_on_its_port():
    stranger("behaves")
    time.sleep(600)


def closes_all():
    """Close each connection, until there is a file ``over``."""
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        listener.settimeout(0.1)
        while not os.path.exists("over"):
            with contextlib.suppress(TimeoutError):
                listener.accept()[0].close()


def port_taken_once(then):
    """Find the port taken at the first start, as after a race for it, and *then* do what is done about it."""
    if not os.path.exists("taken"):
        open("taken", "w").close()
        stranger("closes-all")
        while True:
            try:
                socket.create_connection(("127.0.0.1", PORT)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        then()
    open("over", "w").close()
    Plugin().run()


def port_in_use_at_first(words):
    """End as one does that found its port in use for a moment: nobody holds the port afterwards."""
    with open("starts", "a+") as starts:
        starts.write("x")
        starts.seek(0)
        first = starts.read() == "x"
    if first:
        sys.exit(words)
    Plugin().run()


def starting_then_exits():
    def health(connection, body):
        connection.sendall(http({"status": "starting"}))
        connection.close()
        say("RuntimeError: migration failed")
        os._exit(3)

    Plugin(health=health).run()


def orphan_on_its_port():
    """Serve from a grandchild whose parent has ended."""
    if os.fork() == 0:
        if os.fork() == 0:
            Plugin().run()
        os._exit(0)
    time.sleep(600)


def child_on_its_port():
    """Serve from a child process, as wrapper scripts do."""
    if os.fork() == 0:
        Plugin().run()
    time.sleep(600)


def detached_child_on_its_port():
    """Serve from a child process in a session of its own, as a daemon does."""
    if os.fork() == 0:
        os.setsid()
        Plugin().run()
    time.sleep(600)


def waits_for_connections():
    """End after /shutdown only once the client has closed its connection, as many servers do."""
    ending = []

    def shutdown(connection, body):
        connection.sendall(http({"message": "bye"}))
        ending.append(True)

    class Patient(Plugin):
        def serve(self, connection):
            super().serve(connection)
            if ending:
                open("ended", "w").close()
                os._exit(0)

    Patient(shutdown=shutdown).run()


def flaps():
    """Be healthy at every second question only."""
    asked = []

    def health(connection, body):
        asked.append(1)
        answer = http({"status": "healthy"}) if len(asked) % 2 == 0 else http({"status": "ill"}, "503 Ill")
        connection.sendall(answer)

    Plugin(health=health).run()


def exits_after_health():
    def health(connection, body):
        connection.sendall(http({"status": "healthy"}))
        connection.close()
        os._exit(0)

    Plugin(health=health).run()


def goes_to_the_background():
    """Serve as a daemon does, which ends the process that was started."""
    if os.fork() == 0:
        os.setsid()
        Plugin().run()
    os._exit(0)


def closes_its_outputs():
    for descriptor in (1, 2):
        os.close(descriptor)
    Plugin().run()


def prints_all_the_time():
    """Print about 10 MB each second, on both streams, for as long as it runs."""

    def chatter(stream):
        while True:
            stream.write("0123456789abcde\n" * 3200)
            time.sleep(0.01)

    for stream in (sys.stdout, sys.stderr):
        threading.Thread(target=chatter, args=[stream], daemon=True).start()
    Plugin().run()


# --- what /execute does ---


def dies(connection, body):
    say("working\nValueError: out of luck")
    os._exit(7)


def dies_once(connection, body):
    if not os.path.exists("died"):
        open("died", "w").close()
        dies(connection, body)
    connection.sendall(http(success(ok=True)))


def hangs_until_cured(connection, body):
    """Hang until there is a file of that name; the file ``hangs`` tells that it does."""
    if not os.path.exists("cured"):
        open("hangs", "w").close()
        time.sleep(600)
    connection.sendall(http(success(ok=True)))


def killed(connection, body):
    os.kill(os.getpid(), signal.SIGKILL)


def drops(connection, body):
    raise Close


def drips(data, then=b""):
    def answer(connection, body):
        for index in range(len(data)):
            connection.sendall(data[index : index + 1])
            time.sleep(0.05)
        connection.sendall(then)

    return answer


def in_two_parts(connection, body):
    head, _, rest = http(success(ok=True)).partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n" + rest[:5])
    time.sleep(0.05)
    connection.sendall(rest[5:])


def half_a_body(connection, body):
    connection.sendall(http(success(ok=True))[:-5])
    raise Close


def endless(connection, body):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def endless_chunks(connection, body):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def answer_and_close(connection, answer):
    """Send the end together with the answer: one that came later could be overtaken by the next call."""
    if hasattr(socket, "TCP_CORK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    connection.sendall(answer)
    connection.shutdown(socket.SHUT_WR)
    raise Close


def answers_then_closes(connection, body):
    answer_and_close(connection, http(success(pid=os.getpid())))


def closes_after(data):
    def answer(connection, body):
        answer_and_close(connection, data)

    return answer


def counts_then_drops(connection, body):
    with open("count", "a") as file:
        file.write("x")
        if file.tell() > 1:
            raise Close
    connection.sendall(http(success(ok=True)))


def answers_twice(connection, body):
    connection.sendall(http(success(ok=True)) * 2)


def echoes(connection, body):
    received = json.loads(body)
    connection.sendall(http(success(received=received, cwd=os.getcwd(), port=PORT, id=ID, pid=os.getpid())))


def flood(unit):
    def answer(connection, body):
        while True:
            connection.sendall(unit * 1000)

    return answer


def made_late(make, *args, **kwargs):
    """Make the answer when it is asked for: it would slow down the start of every plugin of this file."""
    return executes(lambda connection, body: connection.sendall(make(*args, **kwargs)))


def gzipped(body):
    import gzip

    return http(gzip.compress(json.dumps(body).encode()), headers=["Content-Encoding: gzip"])


def many_logs(count):
    return http({**success(ok=True), "logs": [{"message": f"line {n}"} for n in range(count)]})


def large(megabytes):
    return http(success(x="x" * megabytes * 1024 * 1024))


def long_error(size):
    return http({"success": False, "error": {"code": "BIG", "message": "x" * size}})


def closes_at_random(connection, body):
    if os.urandom(1)[0] < 128:
        answer_and_close(connection, http(success(ok=True)))
    connection.sendall(http(success(ok=True)))


def answers_its_last_call(connection):
    """Close every other socket, then answer and say that this one ends: what is asked next is refused for certain."""
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, 100)
    connection.sendall(http(success(pid=os.getpid()), headers=["Connection: close"]))
    connection.shutdown(socket.SHUT_RDWR)


def leaves_after_answer(connection, body):
    """Answer from a child once this process has ended: nobody can call in between."""
    parent = os.getpid()
    if os.fork() != 0:
        os._exit(5)
    while os.getppid() == parent:
        time.sleep(0.005)
    answers_its_last_call(connection)
    os._exit(0)


def leaves_when_told(connection, body):
    """Answer, listen no more, and end once there is a file ``leave``."""
    answers_its_last_call(connection)
    while not os.path.exists("leave"):
        time.sleep(0.005)
    os._exit(5)


def ignores_the_listener(connection, body):
    """Answer and listen no more, but live on."""
    answers_its_last_call(connection)
    time.sleep(600)


def dies_of_bytes(connection, body):
    sys.stderr.buffer.write(b"Fatal error: caf\xe9 \xff is closed\n")
    sys.stderr.flush()
    os._exit(1)


def prints_very_much(connection, body):
    """Print 200 MB as fast as the pipe takes them."""
    for _ in range(200):
        sys.stdout.buffer.write(b"x" * 999_999 + b"\n")
    say("last words", sys.stdout)
    connection.sendall(http(success(ok=True)))


def prints_bytes(connection, body):
    sys.stdout.buffer.write(b"caf\xe9 \xff\n")
    sys.stdout.flush()
    connection.sendall(http(success(ok=True)))


def prints_unflushed(connection, body):
    sys.stdout.write("hello\n")
    connection.sendall(http(success(ok=True)))


def prints_much(connection, body):
    for _ in range(400):
        sys.stdout.write("x" * 65535 + "\n")
    say("last words", sys.stdout)
    connection.sendall(http(success(ok=True)))


def leaves_children(connection, body):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    connection.sendall(http(success(child=child.pid)))


def lingers(start):
    """Answer once a process that *start* starts has written itself down; that one ends only when it is killed."""

    def answer(connection, body):
        read_end, write_end = os.pipe()

        def linger():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            signal.alarm(300)
            note_process()
            os.write(write_end, b"x")
            time.sleep(600)

        start(linger)
        os.read(read_end, 1)
        connection.sendall(http(success(ok=True)))

    return answer


def child(run):
    if os.fork() == 0:
        run()
        os._exit(0)


def detached_child(run):
    """Start a process in a session of its own whose parent has ended, as daemons do."""
    if os.fork() == 0:
        os.setsid()
        child(run)
        os._exit(0)
    os.wait()


def forgets(connection, body):
    """Start a process that has nothing of this one: neither its session nor its environment."""
    child = subprocess.Popen(["sleep", "300"], start_new_session=True, env={"PATH": os.environ["PATH"]})
    note_process(child.pid)
    connection.sendall(http(success(ok=True)))


def strikes(connection, body):
    """Kill whoever started this plugin, and end: what this one started has no parent then, and nobody's mark."""
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(0)


def stops(connection, body):
    connection.sendall(http(success(ok=True)))
    os.kill(os.getpid(), signal.SIGSTOP)


def leaves_children_and_dies(connection, body):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    os._exit(1)


def ignores_shutdown():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Plugin(shutdown=http({"error": "not found"}, "404 Not Found")).run()


# --- more than one call at a time ---


class Threaded(Plugin):
    """Serves every connection in a thread of its own."""

    def run(self):
        with socket.create_server(("127.0.0.1", PORT)) as listener:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self.serve_and_close, args=[connection], daemon=True).start()

    def serve_and_close(self, connection):
        with connection:
            self.serve(connection)


def meets():
    """Answer once as many calls as ``config.calls`` says are under way."""
    under_way = []
    changed = threading.Condition()

    def meet(connection, body):
        with changed:
            under_way.append(1)
            changed.notify_all()
            changed.wait_for(lambda: len(under_way) >= json.loads(body)["config"]["calls"])
        connection.sendall(http(success(ok=True)))

    Threaded(execute=meet).run()


def dies_when_told(connection, body):
    if json.loads(body)["config"].get("die"):
        dies(connection, body)
    time.sleep(0.01)
    connection.sendall(http(success(pid=os.getpid())))


def writes_down(connection, body):
    with open("calls", "a") as file:
        file.write(json.loads(body)["config"]["name"] + "\n")
    time.sleep(0.005)
    connection.sendall(http(success(ok=True)))


FAILURE = {
    "success": False,
    "output": {},
    "error": {"code": "NO_STOCK", "message": "nothing left", "details": {"sku": "A1"}},
    "logs": [{"level": "warning", "message": "looked twice", "timestamp": "2024-01-01T12:00:00Z"}],
    "metrics": {"duration_ms": 145},
}

BEHAVIOURS = {
    "behaves": lambda: Plugin().run(),
    "echoes": executes(echoes),
    # start
    "exits-at-once": exits_at_once,
    "exits-cleanly": lambda: sys.exit(0),
    "killed-at-start": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "never-listens": never_listens,
    "listens-elsewhere": listens_elsewhere,
    "listens-on-another-address": listens_on_another_address,
    "listens-late": listens_late,
    "healthy-late": healthy_late,
    "stranger-on-its-port": stranger_on_its_port,
    "child-on-its-port": child_on_its_port,
    "port-taken-once": lambda: port_taken_once(lambda: sys.exit("Address already in use")),
    "port-in-use-at-first": lambda: port_in_use_at_first("OSError: [Errno 98] Address already in use"),
    "port-in-use-in-node": lambda: port_in_use_at_first("Error: listen EADDRINUSE 127.0.0.1:8080"),
    "childs-port-taken-once": lambda: port_taken_once(lambda: time.sleep(600)),
    "closes-all": closes_all,
    "starting-then-exits": starting_then_exits,
    "orphan-on-its-port": orphan_on_its_port,
    "detached-child-on-its-port": detached_child_on_its_port,
    "waits-for-connections": waits_for_connections,
    "health-flaps": flaps,
    "exits-after-health": exits_after_health,
    "goes-to-the-background": goes_to_the_background,
    "closes-its-outputs": closes_its_outputs,
    "prints-all-the-time": prints_all_the_time,
    "health-starting": lambda: Plugin(health=http({"status": "starting"})).run(),
    "health-without-status": lambda: Plugin(health=http({"ok": True})).run(),
    "health-not-json": lambda: Plugin(health=http(b"I am fine")).run(),
    "health-500": lambda: Plugin(health=http(b"<h1>oops</h1>", "500 Internal Server Error")).run(),
    "health-hangs": lambda: Plugin(health=hangs).run(),
    "health-drops": lambda: Plugin(health=drops).run(),
    # /info
    "info-404": lambda: Plugin(info=http({"error": "not found"}, "404 Not Found")).run(),
    "info-not-json": lambda: Plugin(info=http(b"<html>")).run(),
    "info-other-json": lambda: Plugin(info=http({"hello": "world"})).run(),
    "info-actions-object": lambda: Plugin(info=http({"id": ID, "actions": {"run": {}}})).run(),
    "info-action-text": lambda: Plugin(info=http({"id": ID, "actions": ["run"]})).run(),
    "info-action-no-id": lambda: Plugin(info=http({"id": ID, "actions": [{"name": "run"}]})).run(),
    "info-schema-text": lambda: Plugin(info=http(info(schema="object"))).run(),
    "info-hangs": lambda: Plugin(info=hangs).run(),
    "info-dies": lambda: Plugin(info=dies).run(),
    "info-twice": lambda: Plugin(info=http({**info(), "actions": info()["actions"] * 2})).run(),
    "info-of-another": lambda: Plugin(info=http({**info(), "id": "somebody-else"})).run(),
    "info-without-actions": lambda: Plugin(info=http({"id": ID, "name": ID, "version": "1.0.0"})).run(),
    "info-null-actions": lambda: Plugin(info=http({"id": ID, "actions": None})).run(),
    # answers to /execute that are wrong
    "fails": executes(http(FAILURE)),
    "fails-with-400": executes(http(FAILURE, "400 Bad Request")),
    "fails-with-500": executes(http(FAILURE, "500 Internal Server Error")),
    "fails-without-error": executes(http({"success": False, "output": {}})),
    "fails-with-text": executes(http({"success": False, "error": "it broke"})),
    "fails-without-code": executes(http({"success": False, "error": {"message": "it broke"}})),
    "no-success": executes(http({"output": {}})),
    "success-text": executes(http({"success": "yes"})),
    "output-list": executes(http({"success": True, "output": [1]})),
    "logs-texts": executes(http({"success": True, "logs": ["hello"]})),
    "log-message-number": executes(http({"success": True, "logs": [{"message": 5}]})),
    "metrics-number": executes(http({"success": True, "metrics": 5})),
    "answer-null": executes(http(None)),
    "answer-list": executes(http([1, 2])),
    "answer-empty": executes(http(b"")),
    "answer-text": executes(http(b"it worked")),
    "answer-nan": executes(http(b'{"success": true, "output": {"x": NaN}}')),
    "answer-deep": executes(http(b"[" * 100_000)),
    "answer-latin-1": executes(http('{"success": true, "output": {"x": "é"}}'.encode("latin-1"))),
    "http-500": executes(http(b"<h1>oops</h1>", "500 Internal Server Error")),
    "http-404": executes(http({"error": "not found"}, "404 Not Found")),
    "http-413": executes(http(b"", "413 Content Too Large")),
    "redirect": executes(http(b"", "302 Found", headers=["Location: http://127.0.0.1:9/"])),
    "hangs": executes(hangs),
    "hangs-until-cured": executes(hangs_until_cured),
    "drips-headers": executes(drips(b"HTTP/1.1 200 OK\r\n" + b"X-Header: 1\r\n" * 1000)),
    "drips-body": executes(drips(http(success(x="y" * 5000)))),
    "dies": executes(dies),
    "dies-once": executes(dies_once),
    "killed": executes(killed),
    "drops": executes(drops),
    "dies-of-bytes": executes(dies_of_bytes),
    "leaves-after-answer": executes(leaves_after_answer),
    "leaves-when-told": executes(leaves_when_told),
    "drops-shutdown": lambda: Plugin(shutdown=drops).run(),
    "stops-to-listen": executes(ignores_the_listener),
    "half-a-body": executes(half_a_body),
    "not-http": executes(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "many-headers": executes(b"HTTP/1.1 200 OK\r\n" + b"X-Header: 1\r\n" * 1000 + b"\r\n"),
    "announces-much": executes(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
    "endless": executes(endless),
    "endless-chunks": executes(endless_chunks),
    "two-lengths": executes(http(success(ok=True), headers=["Content-Length: 3"])),
    "negative-length": executes(
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + json.dumps(success(ok=True)).encode()
    ),
    "length-no-number": executes(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
    "bad-chunk-size": executes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n{}\r\n0\r\n\r\n"),
    "gzipped": made_late(gzipped, success(ok=True)),
    "continues-for-ever": executes(flood(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "early-hints": executes(b"HTTP/1.1 103 Early Hints\r\n\r\n" + http(success(ok=True))),
    "switches-protocols": executes(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
    "no-content": executes(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "odd-status": executes(http(success(ok=True), "999 Whatever")),
    "long-header": executes(b"HTTP/1.1 200 OK\r\nX-Header: " + b"x" * 100_000 + b"\r\n\r\n{}"),
    "endless-header": executes(flood(b"x")),
    "answer-utf-16": executes(http(json.dumps(success(ok=True)).encode("utf-16"))),
    "answer-huge-number": executes(http(b'{"success": true, "output": {"x": 1' + b"0" * 10_000 + b"}}")),
    "answer-infinite": executes(http(b'{"success": true, "output": {"x": 1e400}}')),
    "answer-lone-surrogate": executes(
        http(
            {
                **success(x="\ud800"),
                "logs": [{"message": "\ud800", "timestamp": "\ud800"}],
                "metrics": {"\ud800": ["\ud800"]},
            }
        )
    ),
    "answer-much": made_late(large, megabytes=2),
    "logs-many": made_late(many_logs, 10_000),
    "log-level-number": executes(http({**success(ok=True), "logs": [{"level": 5, "message": "x"}]})),
    "error-in-lines": executes(http({"success": False, "error": {"code": "A\nB", "message": "one\ntwo\n\nthree"}})),
    "error-escapes": executes(
        http({"success": False, "error": {"code": "RED", "message": "\x1b[31mred\x1b[2J \x00 \x07 \ud800"}})
    ),
    "error-huge": made_late(long_error, 100_000),
    "error-code-number": executes(http({"success": False, "error": {"code": 5, "message": "x"}})),
    "fails-and-succeeds": executes(http({**success(ok=True), "error": {"code": "NO", "message": "but no"}})),
    # unusual, but right
    "http-10": executes(bare(success(ok=True))),
    "http-10-with-length": executes(http(success(ok=True), version="HTTP/1.0")),
    "http-11-until-close": executes(bare(success(ok=True), "HTTP/1.1 200 OK", ["Connection: close"])),
    "closes": executes(http(success(ok=True), headers=["Connection: close"])),
    "chunked": executes(chunked(b'{"success": true, ', b'"output": {"ok": true}}')),
    "continues": executes(b"HTTP/1.1 100 Continue\r\n\r\n" + http(success(ok=True))),
    "newlines-only": executes(http(success(ok=True)).replace(b"\r\n", b"\n")),
    "odd-headers": executes(http(success(ok=True)).replace(b"Content-Length: ", b"cONTENT-lENGTH:\t")),
    "byte-order-mark": executes(http(b"\xef\xbb\xbf" + json.dumps(success(ok=True)).encode())),
    "in-two-parts": executes(in_two_parts),
    "drips-quickly": executes(drips(b"HTTP/1.", http(success(ok=True))[7:])),
    "always-closes": lambda: Plugin(
        health=closes_after(http({"status": "healthy"})),
        info=closes_after(http(info())),
        execute=answers_then_closes,
    ).run(),
    "counts-then-drops": executes(counts_then_drops),
    "answers-then-closes": executes(answers_then_closes),
    "answers-twice": executes(answers_twice),
    "longer-than-its-length": executes(http(success(ok=True)) + b"and more"),
    "closes-at-random": executes(closes_at_random),
    "nulls": executes(http({"success": True, "output": None, "logs": None, "metrics": None, "error": None})),
    "more-keys": executes(http({**success(ok=True), "version": 2, "logs": [{"message": "x", "timestamp": 5}]})),
    "prints-bytes": executes(prints_bytes),
    "prints-unflushed": executes(prints_unflushed),
    "prints-much": executes(prints_much),
    "prints-very-much": executes(prints_very_much),
    "ignores-shutdown": ignores_shutdown,
    "shutdown-drops": lambda: Plugin(shutdown=dies).run(),
    "shutdown-hangs": lambda: Plugin(shutdown=hangs).run(),
    "goes-on-after-shutdown": lambda: Plugin(shutdown=http({"message": "bye"})).run(),
    "forks": executes(lingers(child)),
    "detaches": executes(lingers(detached_child)),
    "forgets": executes(forgets),
    "forgets-and-strikes": lambda: Plugin(execute=forgets, shutdown=strikes).run(),
    "stops": executes(stops),
    "leaves-children": executes(leaves_children),
    "leaves-children-and-dies": executes(leaves_children_and_dies),
    # calls at once
    "meets": meets,
    "dies-when-told": lambda: Threaded(execute=dies_when_told).run(),
    "writes-down": lambda: Threaded(execute=writes_down).run(),
    "hangs-in-threads": lambda: Threaded(execute=hangs).run(),
}

if __name__ == "__main__":
    note_process()
    BEHAVIOURS[ID]()
