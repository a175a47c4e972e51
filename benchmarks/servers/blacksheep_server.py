"""BlackSheep under granian: a request takes half of the time that it takes under uvicorn."""

from granian.constants import Interfaces

from . import blacksheep_app, granian_set_up

if __name__ == "__main__":
    granian_set_up.main(f"{blacksheep_app.__name__}:application", Interfaces.ASGI)
