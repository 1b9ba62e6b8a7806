"""The errors form the documented tree, and pickle, copy and compare."""

from __future__ import annotations

import copy
import pickle

import pytest

import soapmail
from soapmail import (
    AuthenticationError,
    LossyTextWarning,
    OperationFailed,
    OutcomeUnknown,
    ResponseError,
    SoapFault,
    SoapMailError,
    TransportError,
)

EXAMPLES = [
    SoapMailError("x"),
    TransportError("x", 502),
    OutcomeUnknown("x", None),
    ResponseError("not an int", "api_x", "row 3, invoices_id", "12a"),
    SoapFault("Client", "Invalid Session ID", "actor", "detail"),
    OperationFailed("error", "No active mail order"),
    AuthenticationError("x"),
]


def test_the_tree_is_the_documented_one() -> None:
    bases = {one: one.__bases__ for one in map(type, EXAMPLES)}
    assert bases == {
        SoapMailError: (Exception,),
        TransportError: (SoapMailError,),
        OutcomeUnknown: (TransportError,),
        ResponseError: (SoapMailError,),
        SoapFault: (SoapMailError,),
        OperationFailed: (SoapMailError,),
        AuthenticationError: (SoapMailError,),
    }
    assert issubclass(LossyTextWarning, UserWarning)
    drawn = soapmail.errors.__doc__ or ""
    assert all(one.__name__ in drawn for one in [*bases, LossyTextWarning])


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_pickle_copy_and_compare(error: SoapMailError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert twin == error
        assert hash(twin) == hash(error)
        assert vars(twin) == vars(error)
        assert str(twin) == str(error)
    assert error != type(error)(*["other"] * max(1, len(error.args)))
    assert error != Exception(*error.args)


def test_attributes_and_texts() -> None:
    assert TransportError("x", 502).status == 502
    assert TransportError("x").status is None
    assert TransportError("x").args == ("x", None)
    assert str(TransportError("x", 502)) == "x"
    wrong = ResponseError("not an int", "api_x", "row 3, invoices_id", "12a")
    assert (wrong.problem, wrong.operation, wrong.place, wrong.value) == wrong.args
    assert str(wrong) == "api_x: row 3, invoices_id: not an int: '12a'"
    assert str(ResponseError("x")) == "x"
    fault = SoapFault("Client", "Invalid Session ID", "a", "d")
    assert (fault.code, fault.text, fault.actor, fault.detail) == fault.args
    assert str(fault) == "SOAP fault Client: Invalid Session ID"
    assert SoapFault("c", "t").args == ("c", "t", "", "")
    failed = OperationFailed("error", "No active mail order")
    assert (failed.status, failed.status_text) == failed.args
    assert str(failed) == "the server answered 'error': No active mail order"
    assert str(OperationFailed("Failed")) == "the server answered 'Failed': no reason given"


def test_all_public_names_are_there() -> None:
    assert len(set(soapmail.__all__)) == len(soapmail.__all__)
    assert all(hasattr(soapmail, name) for name in soapmail.__all__)
