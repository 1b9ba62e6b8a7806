"""Rows that are awkward in every way a server may be asked to write them."""

from __future__ import annotations

from typing import Any

from soapmail import Invoice, MailService, Prepay

_PLAIN: dict[str, Any] = {
    "invoices_id": 7514880,
    "invoices_description": "(Repeat Invoice: 19156909) MailBaby Mail",
    "invoices_amount": 1.0,
    "invoices_custid": 160884,
    "invoices_type": 1,
    "invoices_date": "2021-02-24 01:38:45",
    "invoices_group": 0,
    "invoices_extra": 19156909,
    "invoices_paid": 0,
    "invoices_module": "mail",
    "invoices_due_date": "2021-03-10 01:38:45",
    "invoices_service": 8556,
    "invoices_deleted": 0,
    "invoices_currency": "USD",
}
_SERVICE: dict[str, Any] = {
    "mail_id": 8556,
    "mail_username": "café",
    "mail_type": 10880,
    "mail_currency": "€",
    "mail_order_date": "2021-02-24 01:38:45",
    "mail_custid": 160884,
    "mail_quota": 0,
    "mail_ip": None,
    "mail_status": "active",
    "mail_invoice": 19156909,
    "mail_coupon": None,
    "mail_extra": '{"a": ["<&>", "é"]}',
    "mail_server_status": "",
    "mail_comment": " two\nlines ",
}
_PREPAY: dict[str, Any] = {
    "prepay_id": 1116,
    "prepay_type": 0,
    "prepay_status": "",
    "prepay_date": "2017-01-11 14:03:02",
    "prepay_created": "2015-10-29 23:06:37",
    "prepay_amount": 10.01,
    "prepay_remaining": 0.0,
    "prepay_service": None,
    "prepay_automatic_use": 1,
    "prepay_module": "mail",
}
TEXTS = (
    "",
    " ",
    "café",
    "€ 日本 😀 Ж",
    "& < > \" ' ]]> <!-- --> &amp; &#233; ${x}",
    "\t one\nline\rand\r\nanother ",
    "x" * 70_000,
)
NUMBERS = (0, -1, 2**31, 2**53 + 1, 2**63 - 1)
AMOUNTS = (0.0, -12.34, 0.1, 1234567.89, 1e-07, 1e20)

INVOICES = [
    _PLAIN,
    dict.fromkeys(_PLAIN),
    *({**_PLAIN, "invoices_description": text, "invoices_module": text} for text in TEXTS),
    *({**_PLAIN, "invoices_id": number, "invoices_service": number} for number in NUMBERS),
    *({**_PLAIN, "invoices_amount": amount} for amount in AMOUNTS),
]
SERVICES = [_SERVICE, {**dict.fromkeys(_SERVICE), "mail_id": 2**53 + 1}]
PREPAYS = [_PREPAY, dict.fromkeys(_PREPAY)]

# What the servers list, by operation, and the same as records.
LISTS: dict[str, list[dict[str, Any]]] = {
    "api_mail_get_client_invoices": INVOICES,
    "api_mail_get_client_unpaid_invoices": INVOICES[:1],
    "api_mail_get_services": SERVICES,
    "api_get_prepay_list": PREPAYS,
}
RECORDS: dict[str, list[Any]] = {
    "get_client_invoices": [Invoice(**row) for row in INVOICES],
    "get_client_unpaid_invoices": [Invoice(**_PLAIN)],
    "get_services": [MailService(**row) for row in SERVICES],
    "get_prepay_list": [Prepay(**row) for row in PREPAYS],
}
