"""The constant answer of the two floors: as long as the answer of the real servers."""

BODY = b"Hello, world!"
ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    b"Server: Python/3.11 floor/1.0\r\n"
    b"\r\n"
    b"%b"
) % (len(BODY), BODY)
