"""Whether an object has what its contracts ask for, down to the names of parameters."""

import inspect
from collections.abc import Iterator
from typing import Any

from zope.interface import Invalid, providedBy
from zope.interface.interface import Method
from zope.interface.verify import verifyObject


def check_contracts(candidate: object) -> None:
    """Check that ``candidate`` has what every contract asks for that it declares to honour.

    That is every attribute, and every method with the same parameters, by name and default: a
    caller may pass any of them by name. AssertionError if it declares none, or for what is missing.
    """
    contracts = list(providedBy(candidate))
    if not contracts:
        raise AssertionError(f"{candidate!r} declares no contract; decorate it with @implementer")
    for contract in contracts:
        try:
            verifyObject(contract, candidate)
        except Invalid as error:
            raise AssertionError(str(error)) from error
        for difference in signature_differences(contract, candidate):
            raise AssertionError(f"{candidate!r} promises {contract.__name__}: {difference}")


def signature_differences(contract: Any, candidate: object) -> Iterator[str]:
    """What a caller who knows only the contract cannot pass to the methods of ``candidate``."""
    for name, method in sorted(contract.namesAndDescriptions(all=True)):
        if not isinstance(method, Method) or name.startswith("__"):
            continue  # nobody names the arguments of these
        try:
            actual = inspect.signature(getattr(candidate, name))
        except ValueError:
            continue  # it is written in C and does not tell
        promised = method.getSignatureInfo()
        if not _accepts(actual, promised):
            yield f"{name}{method.getSignatureString()} is {name}{actual}"


def _accepts(actual: inspect.Signature, promised: Any) -> bool:
    kinds = {parameter.kind for parameter in actual.parameters.values()}
    ordinary = [
        parameter
        for parameter in actual.parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if inspect.Parameter.VAR_POSITIONAL in kinds and not ordinary:
        return True
    names = list(promised["positional"])
    count = len(names)
    known, further = ordinary[:count], ordinary[count:]
    if names != [parameter.name for parameter in known]:
        return False
    return all(
        parameter.default == promised["optional"].get(parameter.name, parameter.empty)
        for parameter in known
    ) and all(parameter.default is not parameter.empty for parameter in further)
