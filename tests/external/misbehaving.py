"""A plugin that does one thing wrong or unusually: what its PLUGIN_ID names. It has the action PLUGIN_ID.run.

Everything is written to the socket as bytes, one connection at a time, each kept alive until the client closes it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
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
            signal.alarm(20)
            environment = {**os.environ, "PLUGIN_ID": behaviour}
            del environment["TESTMESH_GUARD"]
            os.execve(sys.executable, [sys.executable, __file__], environment)
        os._exit(0)
    os.waitpid(child, 0)


def stranger_on_its_port():
    stranger("behaves")
    time.sleep(600)


def closes_all():
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        while True:
            listener.accept()[0].close()


def port_taken_once():
    """Find the port taken at the first start, as after a race for it."""
    if not os.path.exists("taken"):
        open("taken", "w").close()
        stranger("closes-all")
        while True:
            try:
                socket.create_connection(("127.0.0.1", PORT)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise OSError("Address already in use")
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


# --- what /execute does ---


def dies(connection, body):
    say("working\nValueError: out of luck")
    os._exit(7)


def dies_once(connection, body):
    if not os.path.exists("died"):
        open("died", "w").close()
        dies(connection, body)
    connection.sendall(http(success(ok=True)))


def hangs_once(connection, body):
    if not os.path.exists("hung"):
        open("hung", "w").close()
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


def answers_then_closes(connection, body):
    connection.sendall(http(success(pid=os.getpid())))
    raise Close


def closes_after(data):
    def answer(connection, body):
        connection.sendall(data)
        raise Close

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


def leaves_children_and_dies(connection, body):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    os._exit(1)


def ignores_shutdown():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Plugin(shutdown=http({"error": "not found"}, "404 Not Found")).run()


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
    "listens-late": listens_late,
    "healthy-late": healthy_late,
    "stranger-on-its-port": stranger_on_its_port,
    "child-on-its-port": child_on_its_port,
    "port-taken-once": port_taken_once,
    "closes-all": closes_all,
    "starting-then-exits": starting_then_exits,
    "orphan-on-its-port": orphan_on_its_port,
    "detached-child-on-its-port": detached_child_on_its_port,
    "waits-for-connections": waits_for_connections,
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
    "hangs-once": executes(hangs_once),
    "drips-headers": executes(drips(b"HTTP/1.1 200 OK\r\n" + b"X-Header: 1\r\n" * 1000)),
    "drips-body": executes(drips(http(success(x="y" * 5000)))),
    "dies": executes(dies),
    "dies-once": executes(dies_once),
    "killed": executes(killed),
    "drops": executes(drops),
    "half-a-body": executes(half_a_body),
    "not-http": executes(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "many-headers": executes(b"HTTP/1.1 200 OK\r\n" + b"X-Header: 1\r\n" * 1000 + b"\r\n"),
    "announces-much": executes(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
    "endless": executes(endless),
    "endless-chunks": executes(endless_chunks),
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
    "nulls": executes(http({"success": True, "output": None, "logs": None, "metrics": None, "error": None})),
    "more-keys": executes(http({**success(ok=True), "version": 2, "logs": [{"message": "x", "timestamp": 5}]})),
    "prints-bytes": executes(prints_bytes),
    "prints-unflushed": executes(prints_unflushed),
    "prints-much": executes(prints_much),
    "ignores-shutdown": ignores_shutdown,
    "shutdown-drops": lambda: Plugin(shutdown=dies).run(),
    "shutdown-hangs": lambda: Plugin(shutdown=hangs).run(),
    "leaves-children": executes(leaves_children),
    "leaves-children-and-dies": executes(leaves_children_and_dies),
}

if __name__ == "__main__":
    BEHAVIOURS[ID]()
