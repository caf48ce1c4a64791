"""Small frozen objects with named fields, such as events.

The module ``dataclasses`` would make them as well, and costs a process that needs it for nothing
else 1.5 MB: it imports ``inspect``, and compiles methods for each class.
"""

from typing import Any


class Record:
    """It has the fields that its class annotates, after those of the class it is derived from.

    They are given in this order, or by name; one that has a value in the class may be left out.
    ``__match_args__``: their names.
    """

    __match_args__: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__match_args__ += tuple(cls.__annotations__)  # type: ignore[misc]

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self.__match_args__
        fields = dict(zip(names, values), **named)
        if named or len(values) != len(names):
            _check(type(self), fields, len(values) + len(named))
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        fields = [f"{name}={getattr(self, name)!r}" for name in self.__match_args__]
        return f"{type(self).__qualname__}({', '.join(fields)})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed; make another one")

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)


class Value(Record):
    """One that is equal to another of its class whose fields are equal."""

    def _facts(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__)

    def __eq__(self, other: object) -> bool:
        return self._facts() == other._facts() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._facts())


def _check(cls: type[Record], fields: dict[str, Any], given: int) -> None:
    names = cls.__match_args__
    missing = [name for name in names if name not in fields and not hasattr(cls, name)]
    if missing or not fields.keys() <= set(names) or len(fields) < given:
        raise TypeError(f"{cls.__name__} has the fields {', '.join(names)}; give each of them once")
