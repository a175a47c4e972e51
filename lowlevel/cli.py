"""The command line: find a handler by name, open TLS, pick an event loop, serve."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import logging
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from ._version import __version__
from .run import ServerOptions, run_app
from .server import Server

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ("main",)

_DEFAULT_HOST = "127.0.0.1"
_DEFAULT_ATTRIBUTE = "handler"

_EXAMPLES = """\
what to serve:
  MODULE is a dotted name, found from the current directory or installed;
  NAME (default: handler; dots allowed) is in it and is one of
    - a coroutine function that takes a request and returns a response,
    - an object that can be called like one, such as an Application, whose start-up callbacks
      run first, or a class whose instances are awaitable,
    - a lowlevel.Server, with its options already given.

  # hello.py
  import lowlevel as web

  async def handler(request):
      return web.Response(text="Hello\\n")

examples:
  # http://127.0.0.1:8080, for this machine only
  %(prog)s hello

  # a free port at every IPv4 interface (the line it prints says which); an attribute of an object
  %(prog)s shop.site:app.handle --host 0.0.0.0 --port 0

  # a Unix socket, for a proxy of the same group
  %(prog)s hello --path /run/hello/hello.sock --path-mode 660

  # https
  %(prog)s hello --port 8443 --certfile cert.pem --keyfile key.pem

  # as fast as it gets: uvloop, which comes with the extra "speed"
  %(prog)s hello --loop uvloop --no-access-log

Ctrl-C or SIGTERM ends it: no new connections, running requests finish. Again: at once.
Exit status: 0 after that, 1 when it cannot serve or had to end at once, 2 for a command line that
it does not understand.
"""


class _CannotServe(Exception):
    """What one sentence tells the user."""


def main(argv: Sequence[str] | None = None, *, prog: str = "lowlevel") -> int:
    """Run the command and return its exit status.

    Args:
        argv: The arguments; ``sys.argv[1:]`` by default.
        prog: What the command calls itself.

    Raises:
        SystemExit: After ``--help`` and ``--version``, and for a command line that makes no sense.
    """
    parser = _parser(prog)
    arguments = parser.parse_args(argv)
    for option, needed in (("keyfile", "certfile"), ("path_mode", "path")):
        if getattr(arguments, option) is not None and getattr(arguments, needed) is None:
            parser.error(f"--{option.replace('_', '-')} needs --{needed}")
    try:
        _serve(arguments)
    except _CannotServe as exc:
        print(f"{parser.prog}: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the server was there to take it
        return 130
    return 0


def _serve(arguments: argparse.Namespace) -> None:
    ssl_context = _ssl_context(arguments.certfile, arguments.keyfile)
    loop_factory = _loop_factory(arguments.loop)
    handler = _find_handler(arguments.target)
    options = _server_options(arguments)
    if options and isinstance(handler, Server):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in options)
        raise _CannotServe(f"{arguments.target} is a Server, which is already made without {names}")
    _configure_logging(access_log=arguments.access_log, debug=arguments.debug)
    hosts, port = arguments.host, arguments.port
    if not hosts and (arguments.path is None or port is not None):
        hosts = [_DEFAULT_HOST]
    try:
        run_app(
            handler,
            host=hosts,
            port=port,
            path=arguments.path,
            path_mode=arguments.path_mode,
            ssl_context=ssl_context,
            shutdown_timeout=arguments.shutdown_timeout,
            lifespan=_explained(arguments.target),
            reuse_port=arguments.reuse_port or None,
            loop_factory=loop_factory,
            **options,
        )
    except (OSError, UnicodeError) as exc:
        if port is None:
            port = 8080 if ssl_context is None else 8443
        places = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts or ()]
        where = ", ".join([*places, *filter(None, [arguments.path])])
        raise _CannotServe(f"cannot listen at {where}: {_reason(exc)}") from exc


@asynccontextmanager
async def _explained(target: str) -> AsyncIterator[None]:
    """Around the handler's own lifespan, whose errors must not pass for those of listening."""
    try:
        yield
    except Exception as exc:
        traceback.print_exception(exc)
        error = f"{type(exc).__name__}: {exc}"
        raise _CannotServe(f"the lifespan of {target} failed: {error} (traceback above)") from None


# --- the command line ---------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help explains)\n")


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog,
        usage="%(prog)s MODULE[:NAME] [options]",
        description="Serve one handler over HTTP/1.1.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="MODULE[:NAME]", help="what to serve, see below")
    parser.add_argument("--version", action="version", version=f"lowlevel {__version__}")
    _add_listening_options(parser.add_argument_group("where to listen"))
    _add_running_options(parser.add_argument_group("how to run"))
    return parser


def _add_listening_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--host",
        action="append",
        help=f"address or name to listen at; may be repeated (default: {_DEFAULT_HOST})",
    )
    group.add_argument(
        "--port", type=_port, help="0: a free one (default: 8080; with --certfile 8443)"
    )
    group.add_argument(
        "--path", metavar="SOCKET", help="Unix socket, instead of TCP or beside --host or --port"
    )
    group.add_argument(
        "--path-mode",
        metavar="MODE",
        type=_mode,
        help="its permissions, octal, such as 660 (default: by umask)",
    )
    group.add_argument("--certfile", metavar="PEM", help="serve TLS with this certificate chain")
    group.add_argument(
        "--keyfile", metavar="PEM", help="its private key (default: it is in --certfile too)"
    )
    group.add_argument(
        "--reuse-port", action="store_true", help="share the port with other such processes"
    )


def _add_running_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--loop",
        choices=("auto", "asyncio", "uvloop"),
        default="auto",
        help="event loop; auto: uvloop if installed (default: auto)",
    )
    group.add_argument(
        "--access-log",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="a line for each request, on stderr (default: yes)",
    )
    group.add_argument(
        "--shutdown-timeout",
        metavar="SECONDS",
        type=_seconds,
        default=60.0,
        help="how long running requests may take to finish (default: 60)",
    )
    group.add_argument(
        "--keepalive-timeout",
        metavar="SECONDS",
        type=_seconds,
        help="how long an idle connection stays open (default: 3630)",
    )
    group.add_argument(
        "--client-max-size",
        metavar="BYTES",
        type=_count,
        help="largest request body; 0: no limit (default: 1048576)",
    )
    group.add_argument(
        "--debug",
        action="store_true",
        help="tracebacks in error responses, debug log; not for production",
    )


def _number(text: str, what: str, *, maximum: int | None = None) -> int:
    if not (text.isascii() and text.isdigit()) or (maximum is not None and int(text) > maximum):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return int(text)


def _port(text: str) -> int:
    return _number(text, "a port from 0 to 65535", maximum=65535)


def _count(text: str) -> int:
    return _number(text, "a number of bytes")


def _mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise argparse.ArgumentTypeError(f"{text!r} is not an octal mode such as 660")
    return mode


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _server_options(arguments: argparse.Namespace) -> ServerOptions:
    """Only what was given: the defaults are the Server's."""
    options: ServerOptions = {}
    if arguments.keepalive_timeout is not None:
        options["keepalive_timeout"] = arguments.keepalive_timeout
    if arguments.client_max_size is not None:
        options["client_max_size"] = arguments.client_max_size
    if arguments.debug:
        options["debug"] = True
    return options


# --- what to serve ------------------------------------------------------------------------


def _find_handler(target: str) -> Any:
    module_name, colon, attribute = target.partition(":")
    attribute = attribute or _DEFAULT_ATTRIBUTE
    if module_name.endswith(".py"):
        raise _CannotServe(f"{target!r} names a file: give the module, without .py")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise _CannotServe(f"{target!r} does not begin with a module name such as package.module")
    found: Any = _import(module_name)
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise _CannotServe(f"module {module_name} has no {attribute}") from None
    _check_handler(target, found)
    return found


def _import(name: str) -> ModuleType:
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does, for the installed command too
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        # The module asked for or a package around it; any other is missing inside the user's code.
        if exc.name is not None and f"{name}.".startswith(f"{exc.name}."):
            raise _CannotServe(f"there is no module {exc.name} ({_searched()})") from None
        _show_failed_import(exc)
        raise _CannotServe(f"module {name} cannot be imported: {exc} (traceback above)") from None
    except Exception as exc:
        _show_failed_import(exc)
        raise _CannotServe(
            f"module {name} failed while it was imported (traceback above)"
        ) from None


def _searched() -> str:
    return f"searched from {os.getcwd()} and in the installed packages"


def _show_failed_import(exc: Exception) -> None:
    """Print the traceback of the user's module, without the frames that led into it."""
    frames = exc.__traceback__
    while frames is not None and _is_importing(frames):
        frames = frames.tb_next
    traceback.print_exception(exc.with_traceback(frames))


def _is_importing(frame: TracebackType) -> bool:
    file = frame.tb_frame.f_code.co_filename
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")


def _check_handler(target: str, found: Any) -> None:
    if isinstance(found, Server):
        return
    if not callable(found):
        kind = type(found).__name__
        raise _CannotServe(f"{target} is not a handler but of type {kind}, which cannot be called")
    if inspect.isclass(found) and not hasattr(found, "__await__"):
        raise _CannotServe(f"{target} is a class whose instances cannot be awaited")
    try:
        inspect.signature(found).bind(None)
    except ValueError:  # no signature to be had, of a builtin say
        return
    except TypeError:
        raise _CannotServe(f"{target} cannot be called with one argument, the request") from None


# --- with what ----------------------------------------------------------------------------


def _ssl_context(certfile: str | None, keyfile: str | None) -> SSLContext | None:
    if certfile is None:
        return None
    import ssl

    for path in filter(None, (certfile, keyfile)):
        try:
            open(path, "rb").close()  # an error of load_cert_chain does not say which file
        except OSError as exc:
            raise _CannotServe(f"cannot read {path}: {exc.strerror}") from exc
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certfile, keyfile)
    except ssl.SSLError as exc:
        files = certfile if keyfile is None else f"{certfile} with {keyfile}"
        raise _CannotServe(
            f"{files} is no PEM certificate with its private key ({exc.reason or exc})"
        ) from exc
    return context


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name != "asyncio":
        try:
            import uvloop
        except ImportError as exc:
            if name == "uvloop":
                raise _CannotServe(
                    f"uvloop cannot be imported ({exc}): pip install uvloop, or leave --loop out"
                ) from exc
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop


def _configure_logging(*, access_log: bool, debug: bool) -> None:
    """Log to stderr, unless the module that was imported has configured logging itself."""
    access = logging.getLogger("lowlevel.access")
    if not logging.root.handlers:
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        if not access.handlers:
            lines = logging.StreamHandler()
            lines.setFormatter(logging.Formatter("%(message)s"))
            access.addHandler(lines)
        access.propagate = False
    if debug:
        logging.getLogger("lowlevel").setLevel(logging.DEBUG)
    if not access_log:
        access.setLevel(logging.CRITICAL)
    elif access.level == logging.NOTSET:
        access.setLevel(logging.INFO)


def _reason(exc: OSError | UnicodeError) -> str:
    if not isinstance(exc, OSError) or exc.errno is None:
        return str(exc)
    # asyncio writes the address into strerror; numbers below zero are of getaddrinfo().
    return os.strerror(exc.errno) if exc.errno > 0 else str(exc.strerror)
