"""What a module offers to its users: told once, for the reference and for the test that all of it is documented."""

import minitorch_bn


def public_names(module):
    """(name, value) of a module's functions and classes: its `__all__`, or what is defined in it without an underscore.

    The package itself has no `__all__`: it offers what its parts define, also those that are imported on first use.
    """
    listed = getattr(module, "__all__", None)
    names = dir(module) if module is minitorch_bn else listed or vars(module)
    home = minitorch_bn.__name__ if listed or module is minitorch_bn else module.__name__
    for name in sorted({name for name in names if not name.startswith("_")}, key=str.lower):
        value = getattr(module, name)
        if callable(value) and (getattr(value, "__module__", None) or "").startswith(home):
            yield name, value
