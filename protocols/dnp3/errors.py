"""The errors that bytes from a peer can raise in this package: `Dnp3Error` and what derives from it, nothing else."""

from __future__ import annotations

from protocols.dnp3.iin import Iin


class Dnp3Error(Exception):
    """The peer broke the protocol. The text says what came and what was expected."""


class FragmentError(Dnp3Error):
    """An application fragment without a readable header: there is nothing to answer."""


class RequestError(Dnp3Error):
    """A request that is answered with an internal indication, `iin`."""

    iin: Iin = Iin.PARAMETER_ERROR


class FunctionUnknown(RequestError):
    """Function code that this outstation does not know (IIN2.0)."""

    iin = Iin.NO_FUNC_CODE_SUPPORT


class ObjectUnknown(RequestError):
    """Group or variation that does not exist here, or not for this function (IIN2.1)."""

    iin = Iin.OBJECT_UNKNOWN


class ParameterError(RequestError):
    """Qualifier, range or data that cannot be read (IIN2.2)."""

    iin = Iin.PARAMETER_ERROR
