"""``python -m aep_emulator``, the same as the command ``aep-emulator``."""

from aep_emulator.cli import main

if __name__ == "__main__":
    main()
