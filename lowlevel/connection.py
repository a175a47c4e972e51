"""One client: an asyncio protocol between a transport, a parser and a handler.

A request's way through this file, top to bottom: bytes arrive (``data_received``), the parser makes events of them,
a head becomes a request that waits its turn (``_receive_head``), its turn comes (``_start``), a task of its own runs
the handler and sends the answer (``_serve``), and then it is decided what becomes of the connection (``_conclude``).

What the client may do, and how long it may take, is one *phase*:

    NEW ──► HEAD ──► [BODY] ──► BUSY ──► IDLE ──► HEAD ...
                                  │
                                  ├──► UPGRADED   the transport was given away, and comes back to be closed
                                  ├──► DRAINING   the answer is out, the rest of the body is read and dropped
                                  └──► LINGERING  we have said all; what the client still sends is read and dropped,
                                                  since closing on unread bytes would destroy the answer under way
                                                  (RFC 9112 §9.6)

Each phase but BUSY has a deadline, kept as one number and looked at by the server's clock. Waiting for a client that
does not read what we send has a deadline of its own. Persistence goes one way: ``_lasting`` becomes false and stays so.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final, cast

from .background import Background
from .body import EMPTY_PAYLOAD, StreamReader
from .channel import Upgraded
from .clock import NEVER
from .decoded_body import make_reader
from .errors import ClientGone, NotAResponse
from .exceptions import (
    HTTPException,
    HTTPExpectationFailed,
    HTTPRequestTimeout,
    PayloadAccessError,
    RequestPayloadError,
)
from .failure import failure_response
from .handlers import describe_request, not_a_response
from .outlet import Outlet
from .protocol.head import HttpVersion11, RequestHead
from .protocol.http1 import EndOfMessage, ParserLimits, ProtocolError, RequestParser
from .protocol.serializer import UNTIL_CLOSE, default_reason
from .protocol.websocket_message import WSCloseCode
from .request import BaseRequest
from .response import Response, StreamResponse
from .sockets import WatchedTransport, probe, reset, set_keepalive
from .tunnel import Tunnel

if TYPE_CHECKING:
    from .access_log import AbstractAccessLogger
    from .server import Server

__all__ = ("Connection", "RequestHandler")

# Bytes that may be read only to be dropped: beyond them, a client is cut off even if it loses the answer.
_DRAIN_LIMIT: Final = 16 * 1024 * 1024

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

# Reasons to stop reading; reading goes on when none is left.
_PAUSED_BY_BODY: Final = 1
_PAUSED_BY_QUEUE: Final = 2
_PAUSED_BY_OFFER: Final = 4
_PAUSED_BY_UPGRADED: Final = 8


class Phase(enum.Enum):
    """What the connection waits for."""

    NEW = "the first request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    BUSY = "a handler"
    UPGRADED = "the end of a WebSocket"
    IDLE = "the next request"
    DRAINING = "the end of a body nobody wants"
    LINGERING = "the client to close"
    CLOSED = "nothing"


_NEW: Final = Phase.NEW
_HEAD: Final = Phase.HEAD
_BODY: Final = Phase.BODY
_BUSY: Final = Phase.BUSY
_UPGRADED: Final = Phase.UPGRADED
_IDLE: Final = Phase.IDLE
_DRAINING: Final = Phase.DRAINING
_LINGERING: Final = Phase.LINGERING
_CLOSED: Final = Phase.CLOSED

_Turn = tuple[RequestHead, StreamReader] | ProtocolError


class Connection(Outlet):
    """One client connection; made by calling a Server, driven by an asyncio transport.

    aiohttp's name for it is RequestHandler. Requests hold it as ``request.protocol``.
    """

    __slots__ = (
        "_access_logger",
        "_asked_to_continue",
        "_at_end",
        "_background",
        "_body",
        "_context",
        "_deadline",
        "_dropped",
        "_eof",
        "_handler",
        "_incoming",
        "_lasting",
        "_orderly",
        "_parser",
        "_pauses",
        "_phase",
        "_request",
        "_surplus",
        "_task",
        "_upgraded",
        "_watchers",
        "ssl_context",
    )

    _queue: deque[_Turn] | None

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._handler = server.request_handler
        # Requests run in copies of this one, not of the context that happens to be current when their bytes come:
        # a handler that resumes reading makes that its own.
        self._context = copy_context()
        self.ssl_context: SSLContext | None = None
        self._access_logger: AbstractAccessLogger | None = None
        # Receiving.
        self._parser = RequestParser(server.limits)
        self._phase = _NEW
        self._deadline = NEVER
        self._incoming: StreamReader | None = None
        self._pauses = 0
        self._dropped = 0
        self._eof = False
        self._surplus = False
        # The request being served.
        self._task: asyncio.Task[None] | None = None
        self._request: BaseRequest | None = None
        self._body: StreamReader = EMPTY_PAYLOAD
        self._asked_to_continue = False
        self._watchers: list[asyncio.Future[bool]] | None = None
        self._at_end: list[Callable[[], None]] | None = None
        self._background: Background | None = None
        # Who has the transport instead of us.
        self._upgraded: Upgraded | None = None
        # Whether another protocol has ended as it should: the handler need not be told.
        self._orderly = False
        # Whether another request may follow; once false it stays so.
        self._lasting = server.keepalive_timeout > 0

    def __repr__(self) -> str:
        return f"<RequestHandler {'disconnected' if self._transport is None else 'connected'}>"

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. Part of asyncio.Protocol."""
        server = self._server
        # uvloop's transports do not derive from asyncio's.
        self._transport = stream = cast(asyncio.Transport, transport)
        self._access_logger = server.current_access_logger()
        info = stream.get_extra_info
        self.peername = info("peername")
        self.ssl_context = info("sslcontext")
        server.connection_made(self, stream)
        self._enter(_NEW, server.keepalive_timeout or server.head_timeout)
        if server.tcp_keepalive:
            set_keepalive(stream)
        if server.closing:
            stream.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes. Part of asyncio.Protocol."""
        events = self._parser.receive_data(data)
        for event in events:
            if type(event) is RequestHead:
                self._receive_head(event)
            else:
                self._receive(event)
        if not events:
            self._receive_part(len(data))

    def eof_received(self) -> bool:
        """Take the end of the stream: an answer under way still goes out. Part of asyncio.Protocol."""
        self._eof = True
        self._wake_watchers(True)
        self._receive_end()
        if self._task is None or self._phase is _LINGERING or self.ssl_context is not None:
            return False
        if self._server.handler_cancellation and self._upgraded is None and not self._orderly:
            self.cancel_handler()
        if self._transport is not None:
            probe(self._transport)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """End, for whatever reason. Part of asyncio.Protocol."""
        self._parser.close()
        lost = ClientGone("Connection lost")
        self._fail_body(lost)
        self._transport = None
        self._upgraded = None
        self._phase = _CLOSED
        self._deadline = self._stall_deadline = NEVER
        self._lasting = False
        self._queue = None
        self._out.clear()
        self._wake_watchers(True)
        self._wake_writers(lost)
        if self._task is not None:
            self._server.logger.debug("%s left before the end of the response", self.peername)
            if (self._server.handler_cancellation and not self._orderly) or self._streaming:
                self.cancel_handler()
        self._server.connection_lost(self, exc)

    # From bytes to a request.

    def _receive_part(self, size: int) -> None:
        """Bytes came that complete nothing: part of a head, bytes behind an offer, or what nobody wants."""
        parser = self._parser
        if parser.closed:
            self._drop(size)
        elif parser.held_size is not None:
            if parser.held_size > self._server.read_bufsize:
                self._pause(_PAUSED_BY_OFFER)
        elif self._phase is _IDLE or self._phase is _NEW:
            self._expect_head()

    def _receive_head(self, head: RequestHead) -> None:
        body: StreamReader = EMPTY_PAYLOAD
        if head.has_body:
            if head.content_encoding is None:
                body = StreamReader(self, self._server.read_bufsize)
            else:
                body = self._make_decoding_reader(head, head.content_encoding)
            self._incoming = body
        if self._task is None and not self._queue:
            self._start(head, body)
        else:
            self._enqueue((head, body))

    def _make_decoding_reader(self, head: RequestHead, coding: bytes) -> StreamReader:
        size = self._server.read_bufsize
        # What goes through a tunnel is no content (RFC 9110 §9.3.6).
        if self._server.auto_decompress and head.method != "CONNECT":
            return make_reader(self, size, coding)
        return StreamReader(self, size)

    def _receive(self, event: Any) -> None:
        incoming = self._incoming
        if type(event) is bytes:
            if self._phase is _DRAINING or incoming is None:
                self._drop(len(event))
                return
            if incoming is self._body:
                self._asked_to_continue = False
            if self._phase is _BODY:
                self._enter(_BODY, self._server.body_timeout)
            incoming.feed_data(event)
        elif type(event) is EndOfMessage:
            self._incoming = None
            if self._phase is _DRAINING:
                # Other events of the same read may follow, and come first.
                self._surplus = False
                self._enter(_IDLE, self._server.keepalive_timeout)
                self._loop.call_soon(self._after_draining)
            elif incoming is not None:
                incoming.feed_eof(event.trailers)
                if self._phase is _BODY:
                    self._enter(_BUSY, None)
        elif type(event) is ProtocolError:
            self._receive_error(event)
        elif incoming is not None and self._phase is not _DRAINING:
            incoming.end_chunk()

    def _receive_end(self) -> None:
        """The client has said all: it ends a tunnel, and a body under way will never be complete."""
        for event in self._parser.receive_eof():
            if isinstance(event, EndOfMessage):
                self._receive(event)
            else:
                self._fail_body(ClientGone("Connection lost"))

    def _receive_error(self, error: ProtocolError) -> None:
        """Nothing that follows can be understood; what came before is answered first."""
        if self._incoming is not None:
            self._server.log_refusal(self.peername, error)
            draining = self._phase is _DRAINING
            self._fail_body(RequestPayloadError(error.reason))
            if draining:
                self._finish()
        elif self._task is not None or self._queue:
            self._enqueue(error)
        else:
            self._refuse(error)

    def _after_draining(self) -> None:
        if self._phase is _IDLE:
            self._advance()

    def _enqueue(self, turn: _Turn) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(turn)
        if len(self._queue) >= self._server.max_pipelined:
            self._pause(_PAUSED_BY_QUEUE)

    def _fail_body(self, exc: Exception) -> None:
        """Let reads of a body that will never be complete raise ``exc``."""
        incoming, self._incoming = self._incoming, None
        if incoming is self._body:
            self._lasting = False
        if self._phase is _BODY:
            self._enter(_BUSY, None)
        if incoming is not None:
            self._surplus = True
            incoming.set_exception(exc)

    def _drop(self, size: int) -> None:
        """Count bytes that nobody wants; too many end the connection."""
        self._surplus = True
        self._dropped += size
        if self._dropped > _DRAIN_LIMIT and self._transport is not None:
            self._server.logger.debug("%s sends without end what nobody reads", self.peername)
            if self._task is None:
                self._transport.abort()
            else:
                self._pause(_PAUSED_BY_QUEUE)

    # One request.

    def _start(self, head: RequestHead, body: StreamReader) -> None:
        """Give a request its turn, in a task and a context of its own."""
        server = self._server
        server.requests_count += 1
        self._body = body
        self._phase = _BUSY
        self._deadline = NEVER
        if self._incoming is body:
            self._asked_to_continue = head.expect is not None and head.version is HttpVersion11
            if not self._asked_to_continue and head.method != "CONNECT":
                self._enter(_BODY, server.body_timeout)
        # Not loop.create_task(): an eager task factory would serve the request before there is a task to tell of.
        self._task = asyncio.Task(
            self._serve(head, body), loop=self._loop, context=self._context.copy()
        )

    async def _serve(self, head: RequestHead, body: StreamReader) -> None:
        """Run the handler and send what it answers; whatever goes wrong, something is decided."""
        server = self._server
        started = 0.0 if self._access_logger is None else asyncio.get_running_loop().time()
        request = BaseRequest.make(head, body, self, self._task, server.client_max_size)
        answer: StreamResponse | None = None
        try:
            if server.request_factory is not None:
                request = server.request_factory(head, body, self, request.writer, request.task)
            self._request = request
            if head.expect is not None:
                self._check_expectation(head)
            response = await self._handler(request)
            if type(response) is Response and response.send_whole(request):
                answer = response
                if self._write_paused:
                    await self.drain()
            else:
                answer = await self._send(request, response)
        except HTTPException as exc:
            answer = await self._send(request, exc)
            # It leads to frames that lead to it: no cycle.
            exc.__traceback__ = None
        except Exception as exc:
            answer = await self._send_failure(request, exc) or answer
        except asyncio.CancelledError:
            # Not raised again: the task would keep it, and with it the frame of the handler, which leads to the task.
            self.log_debug("The handler of %s was cancelled", describe_request(request))
            self._cut(request)
        except (GeneratorExit, KeyboardInterrupt, SystemExit):
            self._cut(request)
            if self._task is not None:
                # It leaves through the event loop; the task need not complain that nobody asked for it.
                self._task.add_done_callback(asyncio.Task.exception)
            raise
        except BaseException as exc:
            # Raised again it would only be told to the event loop, where nobody waits for this task.
            self.log_exception(
                "Error handling request from %s, cut off", request.remote, exc_info=exc
            )
            self._cut(request)
        finally:
            if answer is None:
                answer = self._abandon(request)
            if self._access_logger is not None and answer is not None:
                self.log_access(request, answer, asyncio.get_running_loop().time() - started)
            self._conclude(answer)

    def _check_expectation(self, head: RequestHead) -> None:
        """Refuse what we cannot fulfil (RFC 9110 §10.1.1); HTTP/1.0 clients cannot expect anything."""
        expectation = (head.expect or b"").strip(b" \t").lower()
        if expectation != b"100-continue" and head.version is HttpVersion11:
            self._asked_to_continue = True
            shown = expectation[:64].decode("ascii", "replace")
            raise HTTPExpectationFailed(text=f"Unknown Expect: {shown}")

    def _note_too_large(self, request: BaseRequest, refusal: HTTPException) -> None:
        """A body that was not read to its end for its size is no request to go on behind."""
        if self._incoming is not None and self._incoming is self._body:
            self._server.log_refusal(
                self.peername, ProtocolError(413, refusal.text or refusal.reason)
            )
            refusal.force_close()

    async def _send(self, request: BaseRequest, response: object) -> StreamResponse | None:
        """Send what the handler answered; return what really went out, None if that was nothing or not complete."""
        try:
            if not isinstance(response, StreamResponse):
                raise not_a_response(request._answered_by or self._handler, response)
            if isinstance(response, HTTPException) and response.status == 413:
                self._note_too_large(request, response)
            await self._send_response(request, response)
        except Exception as exc:
            return await self._send_failure(request, exc)
        return response

    async def _send_response(self, request: BaseRequest, response: StreamResponse) -> None:
        if isinstance(response, HTTPException) and response.send_whole(request):
            if self._write_paused:
                await self.drain()
            return
        self._streaming = isinstance(response, Response) and response.streamed
        writer = request.writer
        try:
            if response.ended and writer.response is not response:
                raise RuntimeError("the handler returned a response that has been sent before")
            if await response.prepare(request) is not (None if response.ended else writer):
                raise RuntimeError("the handler returned a response to another request")
            await response.write_eof()
        finally:
            self._streaming = False

    async def _send_nonsense(
        self, request: BaseRequest, exc: NotAResponse
    ) -> StreamResponse | None:
        """The handler returned no response: its fault, and no reason to punish the client further."""
        self._server.logger.error("For %s, %s", describe_request(request), exc)
        if self._upgraded is not None:
            self._upgraded.handler_ended(failed=False)
            return None
        if request.writer.framing is not None:
            self._cut(request)
            return None
        failure = Response(status=500, text="500: Internal Server Error")
        await self._send_response(request, failure)
        return failure

    async def _send_failure(self, request: BaseRequest, exc: Exception) -> StreamResponse | None:
        """Say whose fault an exception is, and answer it if the head of an answer is not out yet."""
        failure: StreamResponse | None = None
        broken = request.content.exception()
        if isinstance(exc, ClientGone):
            self.log_debug(
                "%s left while %s was answered", self.peername, describe_request(request)
            )
        elif isinstance(exc, NotAResponse):
            try:
                return await self._send_nonsense(request, exc)
            except ConnectionError:
                return None
        elif self._upgraded is not None or self._orderly:
            self.log_exception("Error handling request from %s", request.remote, exc_info=exc)
        elif request.writer.framing is not None:
            self.log_exception(
                "Error handling request from %s, cut off", request.remote, exc_info=exc
            )
        elif isinstance(exc, RequestPayloadError) and exc is broken:
            failure = Response(status=400, text=f"400: Bad Request\n\n{exc}")
            failure.force_close()
        else:
            failure = self.handle_error(request, 500, exc)
        if failure is None:
            self._cut(request)
            return None
        try:
            await self._send_response(request, failure)
        except ConnectionError:
            return None
        return failure

    def _cut(self, request: BaseRequest) -> None:
        """End the connection so that the client sees an answer that is not complete."""
        self._lasting = False
        self._drop_background()
        if self._upgraded is not None:
            if self._server.closing:
                self._upgraded.go_away()
            else:
                self._upgraded.handler_ended(failed=True)
            return
        if self._phase is _LINGERING:
            return
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._flush()
        if request.writer.framing is UNTIL_CLOSE:
            # Only a reset tells a broken end from a good one.
            reset(transport)
        else:
            self._close_transport()

    def _abandon(self, request: BaseRequest) -> StreamResponse | None:
        """Let go of an answer that will never be complete; return it, it may be worth a line in the log."""
        self._drop_background()
        answer = request.writer.response
        request.writer.abandon()
        if answer is not None:
            answer.force_close()
        return answer

    # What becomes of the connection.

    def _conclude(self, answer: StreamResponse | None) -> None:
        """A request has its answer, or never will: go on, or end."""
        self._task = None
        self._request = None
        if self._watchers is not None:
            self._wake_watchers(False)
        if self._background is not None:
            self._begin_background(self._background, answer)
        elif self._at_end is not None:
            callbacks, self._at_end = self._at_end, None
            self._call_at_end(callbacks)
        body = self._body
        if body is not EMPTY_PAYLOAD and not body.at_eof():
            body.set_exception(PayloadAccessError("the response to this request has been sent"))
        if self._transport is None:
            return
        if self._upgraded is not None:
            # Nobody is there any more to receive: it ends by itself, within its deadline.
            self._upgraded.handler_ended(failed=False)
        elif answer is None or not answer.keep_alive or not self._lasting:
            self._finish()
        elif self._incoming is not None and self._incoming is body:
            self._dropped = 0
            self._resume(_PAUSED_BY_BODY)
            self._enter(_DRAINING, self._server.lingering_time)
        elif self._queue or self._out or self._eof or not self._parser.idle:
            self._advance()
        else:
            self._phase = _IDLE
            self._deadline = self.clock.now + self._server.idle_time

    def _begin_background(self, work: Background, answer: StreamResponse | None) -> None:
        """Begin what was left for the end of the response, unless that is a WebSocket without a Close."""
        self._background = None
        if answer is not None and answer.status == 101 and not self._ends_in_order(answer):
            work.discard()
        self._flush()
        # What goes away with the request, such as the files of a form, the work may still need.
        callbacks, self._at_end = self._at_end or [], None
        self._server.run_background(work, partial(self._call_at_end, callbacks))

    def _ends_in_order(self, answer: StreamResponse) -> bool:
        """Whether another protocol has ended as it should, or is about to."""
        lost = getattr(answer, "close_code", None) == WSCloseCode.ABNORMAL_CLOSURE
        return self._upgraded is not None or (self._orderly and not lost)

    def _drop_background(self) -> None:
        if self._background is not None:
            self._background.discard()
            self._background = None

    def _call_at_end(self, callbacks: list[Callable[[], None]]) -> None:
        for callback in callbacks:
            try:
                callback()
            except Exception:
                self._server.logger.exception("Error at the end of a request")

    def _advance(self) -> None:
        """Take the next turn, or wait for the next request."""
        self._phase = _IDLE
        parser = self._parser
        if self._queue:
            turn = self._queue.popleft()
            self._served += 1
            if len(self._queue) < self._server.max_pipelined:
                self._resume(_PAUSED_BY_QUEUE)
            if isinstance(turn, ProtocolError):
                self._refuse(turn)
                return
            head, body = turn
            if body.exception() is not None:
                self._lasting = False
            self._start(head, body)
            return
        if self._out:
            self._flush()
        if (self._eof and not parser.held_size) or self._is_gone():
            self._finish()
            return
        self._enter(_IDLE, self._server.keepalive_timeout)
        if parser.held_size is not None:
            self._decline_offer(parser)
        elif parser.closed:
            self._finish()
        elif not parser.idle:
            self._expect_head()

    def _decline_offer(self, parser: RequestParser) -> None:
        """Nobody took the offer of another protocol: what came behind it is HTTP."""
        self._resume(_PAUSED_BY_OFFER)
        for event in parser.decline_upgrade():
            if isinstance(event, RequestHead):
                self._receive_head(event)
            else:
                self._receive(event)
        if self._eof:
            self._receive_end()
        if self._phase is _IDLE:
            if parser.closed:
                self._finish()
            elif not parser.idle:
                self._expect_head()

    def _refuse(self, error: ProtocolError) -> None:
        """Answer what is no request, and end the connection."""
        self._server.log_refusal(self.peername, error)
        self._lasting = False
        self._surplus = True
        if error.status is None or self._is_gone():
            self._close_transport()
            return
        request = BaseRequest(_NO_HEAD, EMPTY_PAYLOAD, self, None, None)
        title = f"{error.status}: {default_reason(error.status)}"
        response = Response(status=error.status, text=f"{title}\n\n{error.reason}\n")
        response.force_close()
        response.send_whole(request)
        if self._access_logger is not None:
            self.log_access(request, response, 0.0)
        self._finish()

    def _finish(self) -> None:
        """No more requests: see that the last answer arrives, then close."""
        self._lasting = False
        self._flush()
        transport = self._transport
        if transport is None or transport.is_closing() or self._phase is _LINGERING:
            return
        more = self._surplus or self._incoming is not None or bool(self._queue)
        self._queue = None
        self._incoming = None
        self._parser.close()
        if (
            not more
            or self._eof
            or not self._server.lingering_time
            or not transport.can_write_eof()
        ):
            self._close_transport()
            return
        try:
            transport.write_eof()
        except OSError:  # it closed before us, and what we just sent was answered by a reset
            transport.abort()
            return
        self._dropped = 0
        self._enter(_LINGERING, self._server.lingering_time)
        if self._pauses:
            self._pauses = 0
            transport.resume_reading()

    def _close_transport(self) -> None:
        """Close when all is written; a client that does not read has ``write_timeout`` seconds."""
        self._flush()
        if self._transport is not None:
            self._enter(_CLOSED, self._server.write_timeout)
            self._transport.close()

    # Deadlines.

    def _enter(self, phase: Phase, timeout: float | None) -> None:
        """Begin a phase that may take ``timeout`` seconds; None or 0 is for ever."""
        self._phase = phase
        self._deadline = self.clock.now + timeout if timeout else NEVER

    def _expect_head(self) -> None:
        """The first bytes of a head are there. Trickling more of them gains no time.

        ``keepalive_timeout`` goes on to bound the wait for the first request, and a later head as a whole.
        """
        limits = [
            limit for limit in (self._server.head_timeout, self._server.keepalive_timeout) if limit
        ]
        deadline = self.clock.now + min(limits) if limits else NEVER
        if self._phase is _NEW:
            deadline = min(deadline, self._deadline)
        self._phase = _HEAD
        self._deadline = deadline

    def check_deadline(self, now: float) -> None:
        """See whether the client is late. Called by the server on every tick of its clock."""
        if now >= self._deadline:
            self._deadline = NEVER
            self._expire()
        if now >= self._stall_deadline:
            self._check_stall(now)
        if self._upgraded is not None:
            self._upgraded.check_deadline(now)

    def _expire(self) -> None:
        phase, transport = self._phase, self._transport
        if transport is None:
            return
        if phase is _HEAD:
            self._parser.close()
            self._refuse(ProtocolError(408, "the request head took too long"))
        elif phase is _BODY:
            self._parser.close()
            error = ProtocolError(408, "the request body stopped coming")
            self._server.log_refusal(self.peername, error)
            self._fail_body(HTTPRequestTimeout(text=f"408: Request Timeout\n\n{error.reason}\n"))
        elif phase is _CLOSED:
            transport.abort()
        else:
            self._close_transport()

    # Reading: pauses.

    def _pause(self, reason: int) -> None:
        if not self._pauses and not self._is_gone() and self._transport is not None:
            self._transport.pause_reading()
        self._pauses |= reason

    def _resume(self, reason: int) -> None:
        if self._pauses & reason:
            self._pauses &= ~reason
            if not self._pauses and not self._is_gone() and self._transport is not None:
                self._transport.resume_reading()

    def body_wanted(self) -> None:
        """A read waits for the body. Part of BodySource."""
        if self._asked_to_continue:
            self._asked_to_continue = False
            self.send(_CONTINUE)
            if self._incoming is not None:
                self._enter(_BODY, self._server.body_timeout)

    def pause_body(self) -> None:
        """The body is above its high mark: the client's deadline rests too. Part of BodySource."""
        self._pause(_PAUSED_BY_BODY)
        if self._phase is _BODY:
            self._deadline = NEVER

    def resume_body(self) -> None:
        """The body is below its low mark. Part of BodySource."""
        self._resume(_PAUSED_BY_BODY)
        if self._phase is _BODY:
            self._enter(_BODY, self._server.body_timeout)

    # Another protocol. Part of Channel.

    @property
    def read_bufsize(self) -> int:
        """Most bytes that are buffered for a handler. Part of Channel."""
        return self._server.read_bufsize

    def upgrade(self, head: bytes, upgraded: Upgraded, write_limit: int) -> None:
        """Send the head of a 101 and give the transport away. Part of Channel."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ClientGone("Connection lost")
        if self._parser.held_size is None or self._phase is not _BUSY:
            raise RuntimeError("this request does not offer another protocol, or has been answered")
        self.send(head)
        held = self._parser.take_over()
        self._parser = _NO_PARSER
        self._lasting = False
        self._resume(_PAUSED_BY_OFFER)
        self._upgraded = upgraded
        self._enter(_UPGRADED, None)
        transport.set_write_buffer_limits(high=write_limit)
        transport.set_protocol(Tunnel(self, upgraded))
        if held:
            upgraded.data_received(held)
        if self._eof:
            upgraded.eof_received()
        if self._server.closing:
            upgraded.go_away()

    def end_upgrade(self, *, surplus: bool) -> None:
        """Take the transport back, to close it. Part of Channel."""
        self._upgraded = None
        self._orderly = True
        if self._transport is not None:
            self._transport.set_protocol(self)
            self._surplus = surplus
            self._finish()

    def pause_reading(self) -> None:
        """Let the client wait. Part of Channel."""
        self._pause(_PAUSED_BY_UPGRADED)

    def resume_reading(self) -> None:
        """Take bytes again. Part of Channel."""
        self._resume(_PAUSED_BY_UPGRADED)

    def go_away(self) -> None:
        """Tell who took the transport over, or sends a response without end, that the server ends."""
        if self._upgraded is not None:
            self._upgraded.go_away()
        elif self._request is not None and self._request.writer.response is not None:
            self._request.writer.response.go_away()

    # What requests and responses ask. Part of Channel.

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport, None once the connection is lost; what was sent so far has been handed to it."""
        self._flush()
        if self._asked_to_continue and self._transport is not None:
            return WatchedTransport(self._transport, self.note_interim)
        return self._transport

    @property
    def sockname(self) -> Any:
        """Our own address, a tuple or a path; None once the connection is lost."""
        return None if self._transport is None else self._transport.get_extra_info("sockname")

    @property
    def server_header(self) -> str:
        """The value of the Server field."""
        return self._server.server_header

    def lets_persist(self, request: BaseRequest) -> bool:
        """Whether another request may follow on this connection (RFC 9112 §9.3)."""
        if not self._lasting or not request._message.keep_alive:
            return False
        if self._incoming is not None and self._incoming is self._body:
            # Whoever waits for 100 Continue may send the body or not: what follows could be either (RFC 9110 §10.1.1).
            # And a tunnel that we did not dig is no HTTP any more (RFC 9110 §9.3.6).
            left = (request._message.content_length or 0) - self._incoming.received_bytes
            return (
                not self._asked_to_continue
                and left <= _DRAIN_LIMIT
                and self._server.lingering_time > 0
                and request._message.method != "CONNECT"
            )
        # Behind an offer that nobody took there may be more requests.
        return not self._eof or bool(self._queue or self._parser.held_size)

    def note_interim(self) -> None:
        """The handler sent ``100 Continue`` by itself."""
        if self._asked_to_continue:
            self._asked_to_continue = False
            if self._incoming is not None:
                self._enter(_BODY, self._server.body_timeout)

    async def wait_disconnected(self, request: BaseRequest) -> bool:
        """Wait for the client to leave (True) or the request to end (False). Safe to cancel."""
        if self._eof or self._transport is None:
            return True
        if not self._is_served(request):
            return False
        waiter: asyncio.Future[bool] = self._loop.create_future()
        if self._watchers is None:
            self._watchers = []
        self._watchers.append(waiter)
        return await waiter

    def at_end(self, request: BaseRequest, callback: Callable[[], None]) -> None:
        """Call back when the request is over. Part of Channel."""
        if not self._is_served(request):
            callback()
        elif self._at_end is None:
            self._at_end = [callback]
        else:
            self._at_end.append(callback)

    def background(self, request: BaseRequest, awaitable: Awaitable[Any]) -> None:
        """Keep work for the end of the response. Part of Channel."""
        if not self._is_served(request):
            self._server.add_background(request.task, awaitable)
            return
        if self._background is None:
            self._background = Background(self._request or request)
        self._background.add(awaitable)

    def _is_served(self, request: BaseRequest) -> bool:
        """Whether it is this request that has its turn; a clone has the task of its original."""
        return self._request is not None and request.task is self._request.task

    def _wake_watchers(self, left: bool) -> None:
        if self._watchers is not None:
            watchers, self._watchers = self._watchers, None
            for waiter in watchers:
                if not waiter.done():
                    waiter.set_result(left)

    # What the server and aiohttp's users ask.

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task of the request being served, None between requests."""
        return self._task

    def describe(self) -> str:
        """Say in one line what the connection is about."""
        request = self._request
        if request is None or self._upgraded is not None:
            return f"{self.peername} waits for {self._phase.value}"
        return f"{self.peername} waits for the answer to {describe_request(request)}"

    def keep_alive(self, value: bool) -> None:
        """With False: close the connection after the present response. It cannot be taken back."""
        if not value:
            self._lasting = False

    def close(self) -> None:
        """Close the connection: now if nothing is under way, else after the present response."""
        self._lasting = False
        if self._task is None and self._phase not in (_HEAD, _UPGRADED, _CLOSED):
            self._surplus = False
            self._finish()

    def cancel_handler(self) -> None:
        """Cancel the handler, if one runs."""
        if self._task is not None:
            # Soon: a task that is cancelled before its first step never runs at all, and would never let go of us.
            self._loop.call_soon(self._task.cancel)

    def force_close(self) -> None:
        """Close the connection now; what was handed to the transport is still sent."""
        self._lasting = False
        self._close_transport()

    def abort(self) -> None:
        """Drop the connection now, with everything that is not sent."""
        if self._transport is not None:
            self._transport.abort()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """Close; wait up to ``timeout`` seconds for the handler, then cancel it and wait as long again.

        When this call is cancelled it stops waiting; the connection closes after its present response.
        """
        self.close()
        task = self._task
        if task is not None and task is not asyncio.current_task():
            await asyncio.wait([task], timeout=timeout)
            task.cancel()
            await asyncio.wait([task], timeout=timeout)
        self.force_close()

    @property
    def logger(self) -> logging.Logger:
        """Where errors are logged."""
        return self._server.logger

    @property
    def access_log(self) -> logging.Logger | None:
        """The logger of requests, None for no access log."""
        return self._server.access_log

    @property
    def debug(self) -> bool:
        """Whether clients may see tracebacks."""
        return self._server.debug

    @property
    def access_logger(self) -> AbstractAccessLogger | None:
        """What logs requests, None when nothing does."""
        return self._access_logger

    @property
    def keepalive_timeout(self) -> float:
        """Seconds an idle connection is kept."""
        return self._server.keepalive_timeout

    @property
    def max_line_size(self) -> int:
        """Longest request target in bytes."""
        return self._server.limits.max_line_size

    @property
    def max_field_size(self) -> int:
        """Longest header field in bytes."""
        return self._server.limits.max_field_size

    @property
    def max_headers(self) -> int:
        """Most header fields of a request."""
        return self._server.limits.max_headers

    def log_access(self, request: BaseRequest, response: StreamResponse, time: float) -> None:
        """Write the line of one request; ``time`` is how long it took, in seconds."""
        if self._access_logger is not None:
            try:
                self._access_logger.log(request, response, time)
            except Exception:
                self._server.logger.exception("Error in the access logger")

    def log_debug(self, message: str, *args: object) -> None:
        """Log what is nobody's fault; only if ``debug``."""
        if self._server.debug:
            self._server.logger.debug(message, *args)

    def log_exception(
        self, message: str, *args: object, exc_info: BaseException | None = None
    ) -> None:
        """Log a fault of the handler with its traceback."""
        self._server.logger.exception(message, *args, exc_info=exc_info)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """Log a fault and return the answer to it; the connection closes after it."""
        self.log_exception("Error handling request from %s", request.remote, exc_info=exc)
        debug = self._server.debug or request.writer.debug
        return failure_response(request, status, exc, message, debug)


RequestHandler = Connection


# Of connections that speak HTTP no more: it is closed, and stays so.
_NO_PARSER: Final = RequestParser(ParserLimits())
_NO_PARSER.close()

_NO_HEAD: Final = RequestHead("UNKNOWN", b"/", HttpVersion11, [], False)
