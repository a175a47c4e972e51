"""Bytes in, bytes out: the rules of RFC 9110 and RFC 9112, without asyncio, sockets or a clock."""
