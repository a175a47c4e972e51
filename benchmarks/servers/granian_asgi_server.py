"""granian with a bare ASGI application, without the lifespan protocol."""

from granian.constants import Interfaces

from . import asgi_app, granian_set_up

if __name__ == "__main__":
    granian_set_up.main(f"{asgi_app.__name__}:application", Interfaces.ASGINL)
