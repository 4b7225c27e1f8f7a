"""HTTP from strangers: refused, or cut off in time; the broker does not notice."""

import http.client
import resource
import socket
import subprocess
import time
import unittest

from fleet import SCALE, Fleet, until

CROWD = 2000  # connections: eight times as many as are served at a time
SECONDS = 1   # of bad input of every kind


class HttpHostile(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = CROWD + 256 if hard == resource.RLIM_INFINITY else min(CROWD + 256, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
        cls.crowd = min(CROWD, limit - 256)  # as many as there may be descriptors for
        cls.fleet = Fleet()
        token = cls.fleet.write("token", "0123456789abcdef\n")
        subprocess.run(["chmod", "600", token], check=True)
        broker = cls.fleet.broker("--http", "127.0.0.1:0", "--http-token-file", token,
                                  "--http-allow-host", "fleet.example")
        cls.host, port = broker.ready["http"].rsplit(":", 1)
        cls.port = int(port)

    @classmethod
    def tearDownClass(cls):
        cls.fleet.__exit__(None, None, None)

    def connect(self):
        return socket.create_connection((self.host, self.port), timeout=20 * SCALE)

    def raw(self, request):
        """The first line of the answer to these bytes; "" when there is none."""
        with self.connect() as peer:
            try:
                peer.sendall(request)
                answer = peer.makefile("rb").readline()
            except (ConnectionResetError, BrokenPipeError):
                return ""
        return answer.decode().strip()

    def code(self, request):
        line = self.raw(request)
        return int(line.split()[1]) if line else 0

    def get(self, path, **headers):
        lines = {"Host": "127.0.0.1", "Connection": "close", **headers}
        text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
        return self.code(f"GET {path} HTTP/1.1\r\n{text}\r\n".encode())

    def test_what_is_no_request_is_refused(self):
        self.assertIn(self.code(b"\x00\x01\x02\r\n\r\n"), (0, 400, 421, 501, 505))
        self.assertIn(self.code(b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n"), (0, 400, 505))
        self.assertIn(self.code(b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n"), (0, 400, 404, 505))

    def test_wrong_methods_are_refused(self):
        for method in ("PUT", "DELETE", "POST", "TRACE", "OPTIONS", "BREW"):
            line = f"{method} /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            self.assertIn(self.code((line + "\r\n").encode()), (405, 501), method)
        line = "GET /api/v1/queue/default/pause HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.assertEqual(self.code(line.encode()), 405)

    def test_heads_and_bodies_are_bounded(self):
        self.assertIn(self.get("/", X_Long="x" * 65536), (0, 400, 431))
        self.assertIn(self.get("/" + "x" * 65536), (0, 400, 414, 431))
        self.assertIn(self.get("/?" + "&".join(f"k{n}=v" for n in range(5000))),
                      (0, 400, 414, 431))
        head = ("POST /api/v1/queue/default/pause HTTP/1.1\r\nHost: localhost\r\n"
                "Authorization: Bearer 0123456789abcdef\r\nContent-Length: 1000000\r\n\r\n")
        self.assertIn(self.code(head.encode() + b"x" * 1000000), (0, 413))

    def test_absurd_parameters_are_refused(self):
        for query in ("limit=0", "limit=-1", "limit=1001", "limit=99999999999999999999",
                      "limit=1e9", "cursor=00", "cursor=zz", "cursor=" + "00" * 65,
                      "state=dead", "queue=%00", "queue=a%20b", "type=" + "x" * 300, "what=1"):
            self.assertEqual(self.get(f"/api/v1/tasks?{query}"), 400, query)
        self.assertEqual(self.get("/api/v1/history?span=year"), 400)
        self.assertEqual(self.get("/api/v1/history?worker=nobody"), 404)
        self.assertEqual(self.get("/api/v1/history?queue=nobody"), 404)
        self.assertEqual(self.get("/api/v1/queue/nobody"), 404)
        self.assertEqual(self.get("/api/v1/task/..%2f..%2fetc"), 400)
        self.assertEqual(self.get("/../../etc/passwd"), 404)
        self.assertEqual(self.get("/%00"), 404)
        self.assertEqual(self.get("/api/v1/status%00junk"), 404)
        self.assertEqual(self.get("/", Range="bytes=0-99999999999999999999"), 200)
        self.assertEqual(self.get("/", Range="bytes=" + ",".join(["0-1"] * 1000)), 200)

    def test_heads_that_can_be_understood_in_two_ways_are_refused(self):
        secret = "Authorization: Bearer 0123456789abcdef\r\n"
        post = "POST /api/v1/queue/default/pause?create=1 HTTP/1.1\r\nHost: localhost\r\n"
        chunk = "0\r\n\r\n"
        for head in ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
                     "GET / HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n",
                     post + secret + secret.replace("f\r", "0\r") + "\r\n",
                     post + secret + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                     + chunk,
                     post + secret + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
                     + chunk,
                     post + secret + "Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
                     post + "Origin: http://localhost\r\nOrigin: http://evil\r\n" + secret
                     + "\r\n"):
            with self.connect() as peer:
                peer.sendall(head.encode())
                answer = peer.makefile("rb").read()  # to its end: it is closed
            self.assertEqual(answer.split(b"\r\n")[0].split()[1], b"400", head)
        names = [queue["name"] for queue in self.fleet.status()["queues"]]
        self.assertNotIn("default", names)  # nothing of it was done
        self.assertEqual(self.code((post + secret + "Transfer-Encoding: chunked\r\n\r\n" + chunk)
                                   .encode()), 200)

    def test_a_mistyped_queue_is_not_made(self):
        head = ("POST /api/v1/queue/{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
                "Authorization: Bearer 0123456789abcdef\r\n\r\n")
        names = lambda: [queue["name"] for queue in self.fleet.status()["queues"]]
        for path in ("typo/pause", "typo/resume"):
            self.assertEqual(self.code(head.format(path).encode()), 404, path)
        self.assertNotIn("typo", names())
        self.assertEqual(self.code(head.format("meant/pause?create=1").encode()), 200)
        self.assertIn("meant", names())
        self.assertEqual(self.code(head.format("meant/pause").encode()), 200)
        self.assertEqual(self.code(head.format("meant/pause?create=yes").encode()), 400)
        self.assertEqual(self.code(head.format("meant/resume").encode()), 200)

    BAD = {
        "wrong method": b"DELETE /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "huge head": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100000 + b"\r\n\r\n",
        "huge body": b"POST /api/v1/queue/q/pause HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
                     b"Bearer 0123456789abcdef\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000,
        "no secret": b"POST /api/v1/queue/q/pause HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Length: 0\r\n\r\n",
        "absurd range": b"GET /api/v1/tasks?limit=99999999999 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "no such cursor": b"GET /api/v1/tasks?cursor=ffffffff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "other host": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "other origin": b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil\r\n\r\n",
        "two meanings": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 500
                   + b"\r\n\r\n",
    }

    def test_bad_input_of_every_kind_is_refused_at_once_and_the_loop_goes_on(self):
        slowest = dict.fromkeys(self.BAD, 0.0)
        count, longest_turn = 0, 0.0
        until_at = time.monotonic() + SECONDS
        while time.monotonic() < until_at:
            for kind, request in self.BAD.items():
                begun = time.monotonic()
                code = self.code(request)
                slowest[kind] = max(slowest[kind], time.monotonic() - begun)
                self.assertTrue(code == 0 or 400 <= code < 600, f"{kind}: {code}")
                count += 1
            longest_turn = max(longest_turn, self.fleet.status()["broker"]["loop_ms"])
        print(f"{count} bad requests in {SECONDS} s: the longest turn of the broker's loop took "
              f"{longest_turn:.1f} ms; the slowest answer, ms: " +
              ", ".join(f"{kind} {1000 * seconds:.0f}" for kind, seconds in slowest.items()))
        self.assertLess(max(slowest.values()), 5 * SCALE)
        self.assertLess(longest_turn, 500 * SCALE)

    def test_foreign_names_and_pages_are_refused(self):
        self.assertEqual(self.get("/api/v1/status", Host="evil.example"), 421)
        self.assertEqual(self.get("/", Host="127.0.0.1.evil.example"), 421)
        self.assertIn(self.code(b"GET / HTTP/1.1\r\n\r\n"), (400, 421))
        self.assertEqual(self.get("/api/v1/status", Host="fleet.example:80"), 200)
        self.assertEqual(self.get("/api/v1/status", Origin="http://evil.example"), 403)
        self.assertEqual(self.get("/api/v1/status", Origin="null"), 403)
        self.assertEqual(self.get("/api/v1/status", Origin="http://127.0.0.1"), 200)

    def test_thousands_with_slow_heads_and_bodies_are_cut_off_and_nobody_else_waits(self):
        """Half of them drip a head, half a body; the broker and a reader go on."""
        heads = (b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
                 b"POST /api/v1/queue/default/pause HTTP/1.1\r\nHost: localhost\r\n"
                 b"Authorization: Bearer 0123456789abcdef\r\nContent-Length: 4000\r\n\r\n")
        crowd = []
        try:
            for number in range(self.crowd):
                peer = socket.socket()
                peer.setblocking(False)
                peer.connect_ex((self.host, self.port))
                crowd.append((peer, heads[number % 2]))
            ended, slowest, longest_turn = set(), 0.0, 0.0
            begun = time.monotonic()

            def drip():
                nonlocal slowest, longest_turn
                for number, (peer, head) in enumerate(crowd):
                    if number in ended:
                        continue
                    try:
                        peer.send(b"x" if number in greeted else head)
                        greeted.add(number)
                    except BlockingIOError:
                        continue
                    except OSError:
                        ended.add(number)
                asked = time.monotonic()
                told = self.fleet.status()
                slowest = max(slowest, time.monotonic() - asked)
                longest_turn = max(longest_turn, told["broker"]["loop_ms"])
                return len(ended) >= self.crowd

            greeted = set()
            until(drip, "all of the crowd are cut off", 30)
            print(f"{self.crowd} connections that dawdle: the longest turn of the broker's loop took "
                  f"{longest_turn:.1f} ms, a status {1000 * slowest:.0f} ms")
            self.assertLess(slowest, 5 * SCALE)
            self.assertLess(time.monotonic() - begun, 30 * SCALE)
        finally:
            for peer, _ in crowd:
                peer.close()
        until(lambda: self.get("/healthz") == 200, "a reader is answered again")

    def test_streams_that_nobody_reads_and_more_than_there_may_be(self):
        """A stream more is refused; those that are there cost a place in what all share."""
        request = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        peers = []
        try:
            for _ in range(70):
                peer = self.connect()
                peer.sendall(request)
                peers.append(peer)
            lines = []
            for peer in peers:
                try:
                    lines.append(peer.makefile("rb").readline())
                except ConnectionResetError:
                    lines.append(b"")
            self.assertEqual(sum(b"200" in line for line in lines), 64)
            self.assertEqual(self.get("/api/v1/status"), 200)
        finally:
            for peer in peers:
                peer.close()

        def stream_again():
            connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
            try:
                connection.request("GET", "/api/v1/events")
                return connection.getresponse().status == 200
            except (ConnectionError, http.client.HTTPException):
                return False
            finally:
                connection.close()
        until(stream_again, "there is room for a stream again")


if __name__ == "__main__":
    unittest.main()
