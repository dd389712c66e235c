"""Makes `python -m kexp` run the program `kexp`."""

from kexp.cli import main

if __name__ == "__main__":
    main()
