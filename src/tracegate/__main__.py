"""What does ``python -m tracegate`` do? The same as the script ``tracegate-http``."""

from tracegate.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    raise SystemExit(main())
