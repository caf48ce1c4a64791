"""What can be called how, and what comes of that.

Plain functions and classes are looked at here: whatever else is asked takes the module ``inspect``,
which costs a process 1 MB.
"""

from math import inf
from types import FunctionType, MethodWrapperType

# Of code objects, as inspect has them: CO_VARARGS; CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR.
_ANY_NUMBER = 0x04
_ONLY_BEGINS = 0x20 | 0x80 | 0x200


def takes(function, count):
    """Whether it can be called with so many arguments; True if it does not tell."""
    called, given = function, count
    if is_plain_class(function) and not hasattr(function, "__signature__"):
        called, given = function.__init__, count + 1
    if _is_plain(called):
        code = called.__code__
        needed = code.co_argcount - len(called.__defaults__ or ())
        most = inf if code.co_flags & _ANY_NUMBER else code.co_argcount
        unnamed = code.co_kwonlyargcount - len(called.__kwdefaults__ or ())
        return needed <= given <= most and not unnamed
    from inspect import signature

    try:
        signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        return True  # it does not tell; calling it will show
    return True


def only_begins(function):
    """Whether calling it would return something to await or to iterate over, and do nothing."""
    if _is_plain(function):
        return bool(function.__code__.co_flags & _ONLY_BEGINS)
    if function is None or isinstance(function, (type, MethodWrapperType)):
        return False
    from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction

    kinds = iscoroutinefunction, isasyncgenfunction, isgeneratorfunction
    return any(is_of_kind(function) for is_of_kind in kinds)


def is_plain_class(value):
    """Whether calling it does nothing but make an object and call its ``__init__``."""
    return (
        isinstance(value, type)
        and found_in(type(value), "__call__") is type.__call__
        and found_in(value, "__new__") is object.__new__
    )


def found_in(cls, name):
    """What is under that name in the class or in those it is derived from, as it stands there."""
    return next(vars(base)[name] for base in cls.__mro__ if name in vars(base))


def _is_plain(value):
    # Whoever has set an attribute may have told inspect something else.
    return type(value) is FunctionType and not vars(value)
