"""granian with its own interface, RSGI."""

from granian.constants import Interfaces

from . import granian_set_up, rsgi_app

if __name__ == "__main__":
    granian_set_up.main(f"{rsgi_app.__name__}:application", Interfaces.RSGI)
