"""Whether an object has what its contracts ask for, down to the names of parameters."""

import inspect
from collections.abc import Iterable, Iterator
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
    for difference in signature_differences(contracts, candidate):
        raise AssertionError(f"{candidate!r} promises {difference}")


def signature_differences(contracts: Iterable[Any], candidate: object) -> Iterator[str]:
    """What a caller who knows only the contracts cannot pass to the methods of ``candidate``."""
    members = ((one, member) for one in contracts for member in one.namesAndDescriptions(all=True))
    # By the method, because many a contract has it from the same one.
    methods = {member[1]: (one, member[0]) for one, member in members}
    for method, (contract, name) in methods.items():
        if not isinstance(method, Method) or name.startswith("__"):
            continue  # nobody names the arguments of these
        try:
            actual = inspect.signature(getattr(candidate, name))
        except ValueError:
            continue  # it is written in C and does not tell
        promised = method.getSignatureInfo()
        if not _accepts(actual, promised):
            yield f"{contract.__name__}: {name}{method.getSignatureString()} is {name}{actual}"


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
