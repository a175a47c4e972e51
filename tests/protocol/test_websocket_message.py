"""lowlevel.protocol.websocket_message: names and numbers that programs lean on."""

import copy
import json
import pickle
from typing import Any

import pytest

from lowlevel.protocol.websocket_message import (
    WebSocketError,
    WSCloseCode,
    WSMessage,
    WSMessageTypeError,
    WSMsgType,
)


def test_kinds_are_opcodes_or_news() -> None:
    """RFC 6455 §5.2, and numbers that aiohttp gave to the rest."""
    assert {kind.name: kind.value for kind in WSMsgType} == {
        "CONTINUATION": 0x0,
        "TEXT": 0x1,
        "BINARY": 0x2,
        "CLOSE": 0x8,
        "PING": 0x9,
        "PONG": 0xA,
        "CLOSING": 0x100,
        "CLOSED": 0x101,
        "ERROR": 0x102,
    }
    assert WSMsgType(1) is WSMsgType.TEXT
    assert WSMsgType.TEXT == 1


@pytest.mark.parametrize("name", "text binary close ping pong closing closed error".split())
def test_kinds_have_names_in_small_letters(name: str) -> None:
    assert getattr(WSMsgType, name) is WSMsgType[name.upper()]


def test_codes() -> None:
    """RFC 6455 §7.4.1, and from 1012 on the registry."""
    assert {code.name: code.value for code in WSCloseCode} == {
        "OK": 1000,
        "GOING_AWAY": 1001,
        "PROTOCOL_ERROR": 1002,
        "UNSUPPORTED_DATA": 1003,
        "ABNORMAL_CLOSURE": 1006,
        "INVALID_TEXT": 1007,
        "POLICY_VIOLATION": 1008,
        "MESSAGE_TOO_BIG": 1009,
        "MANDATORY_EXTENSION": 1010,
        "INTERNAL_ERROR": 1011,
        "SERVICE_RESTART": 1012,
        "TRY_AGAIN_LATER": 1013,
        "BAD_GATEWAY": 1014,
    }


def test_a_message_is_a_tuple() -> None:
    message = WSMessage(WSMsgType.TEXT, "a", "")
    kind, data, extra = message
    assert (kind, data, extra) == (message.type, message.data, message.extra)
    assert (kind, data, extra) == (WSMsgType.TEXT, "a", "")
    assert message == (1, "a", "")
    assert pickle.loads(pickle.dumps(message)) == copy.copy(message) == message


@pytest.mark.parametrize("data", ['{"a": [1, null, "é"]}', '{"a": [1, null, "é"]}'.encode()])
def test_json(data: Any) -> None:
    assert WSMessage(WSMsgType.TEXT, data, "").json() == {"a": [1, None, "é"]}


def test_json_by_another_reader() -> None:
    message = WSMessage(WSMsgType.TEXT, "abc", "")
    assert message.json(loads=str.upper) == "ABC"
    with pytest.raises(json.JSONDecodeError):
        message.json()
    with pytest.raises(TypeError):
        message.json(str.upper)  # type: ignore[misc]


def test_an_error_is_a_code_and_a_text() -> None:
    error = WebSocketError(WSCloseCode.PROTOCOL_ERROR, "what is wrong")
    assert error.code == 1002
    assert str(error) == "what is wrong"
    assert error.args == (1002, "what is wrong")
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.code, str(twin)) == (1002, "what is wrong")


def test_the_wrong_type_of_message_is_a_type_error() -> None:
    assert issubclass(WSMessageTypeError, TypeError)
