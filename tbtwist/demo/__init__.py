"""The chat that ``tbtwist start --demo`` serves: an application like any other."""
