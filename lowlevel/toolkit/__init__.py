"""Handlers and middlewares that stand on requests and responses alone; nothing below knows of them."""

__all__: tuple[str, ...] = ()
