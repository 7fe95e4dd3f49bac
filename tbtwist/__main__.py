"""``python -m tbtwist`` is ``tbtwist``."""

from tbtwist.cli import main

if __name__ == "__main__":
    main()
