"""Requests that two programs would read in two ways, each with another request hidden behind it."""

from collections.abc import Callable

from tests.live.raw import Received

Send = Callable[..., Received]

HIDDEN = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"

# After the request line and Host.
AMBIGUOUS = {
    "a length and chunks": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "one length twice": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": b"Content-Length: 5, 5\r\n\r\nabcde",
    "a signed length": b"Content-Length: +5\r\n\r\nabcde",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a length in hex": b"Content-Length: 0x5\r\n\r\nabcde",
    "a length with an underscore": b"Content-Length: 1_0\r\n\r\nabcde",
    "a length in other digits": "Content-Length: \u0665\r\n\r\n".encode(),
    "no length at all": b"Content-Length:\r\n\r\n",
    "a space before the colon": b"Content-Length : 5\r\n\r\nabcde",
    "a tab before the colon": b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "a folded length": b"Content-Length:\r\n 5\r\n\r\nabcde",
    "a folded header": b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n",
    "chunked in a list": b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two encodings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "nearly chunked": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked with a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked, quoted": b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunked in capitals": b"Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    "a chunk extension": b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nabcde\r\n0\r\n\r\n",
    "a chunk extension with a line feed": b"Transfer-Encoding: chunked\r\n\r\n5;\nabcde\r\n0\r\n\r\n",
    "a chunk of a negative size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk without an end": b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "a length as a trailer": b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n",
    "a line feed in a value": b"X: a\nContent-Length: 5\r\n\r\n",
    "a carriage return in a value": b"X: a\rContent-Length: 5\r\n\r\n",
    "a NUL in a value": b"X: a\0b\r\n\r\n",
    "a NUL in a name": b"X\0: a\r\n\r\n",
    "a name that is none": b": a\r\n\r\n",
    "a name in brackets": b"Content-Length(x): 5\r\n\r\n",
    "a second host": b"Host: elsewhere\r\n\r\n",
}
# The length of what is hidden, in more digits than any needs.
LONG = {
    f"a length of {digits} digits{words}": f"Content-Length: {len(HIDDEN):0{digits}}\r\n{more}\r\n".encode()
    for digits in (19, 30, 4400)
    for words, more in (("", ""), (", and a wish to be asked", "Expect: 100-continue\r\n"))
}
# Whole requests.
MALFORMED = {
    "HTTP/0.9": b"GET /hello\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET /hello HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "HTTP/1.10": b"GET /hello HTTP/1.10\r\nHost: localhost\r\n\r\n",
    "a tab in the line": b"GET\t/hello\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two spaces in the line": b"GET  /hello HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a space in the path": b"GET /hello there HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method that is none": b"GE(T /hello HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a header in the line": b"GET /hello HTTP/1.1\nX: y\r\nHost: localhost\r\n\r\n",
    "PROXY protocol": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


def answered_otherwise(send: Send, path: str) -> dict[str, Received]:
    """What is not answered with one refusal and the end of the connection; `path` takes a body."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
    ambiguous = {what: send(head + rest + HIDDEN) for what, rest in AMBIGUOUS.items()}
    malformed = {what: send(request + HIDDEN) for what, request in MALFORMED.items()}
    long = {what: send(head + rest, late=HIDDEN) for what, rest in LONG.items()}
    answered = ambiguous | malformed | long
    return {what: received for what, received in answered.items() if not _refused(received)}


def _refused(received: Received) -> bool:
    statuses = [each for each in received.statuses if each != 100]
    return received.ended and len(statuses) == 1 and statuses[0] in (400, 403, 405, 411, 413, 415, 501, 505)
