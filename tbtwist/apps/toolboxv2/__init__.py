"""A real ToolBoxV2 ``App`` behind our workers (``toolbox.app: toolboxv2``).

The package ``toolboxv2`` is imported when such an application is asked for, and
only then; nothing of it is copied or changed on disk by us.
"""
