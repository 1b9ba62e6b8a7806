"""The documented account, invoices, services and prepays."""

from __future__ import annotations

from datetime import datetime, timedelta

from .. import models

USERNAME = "user@example.com"
PASSWORD = "p&ss<w>ord"
SESSION_ID = "e720445786c7735aa64392f987db2fad"
MODULES = (
    "domains vps backups mail licenses ssl floating_ips webhosting quickservers servers".split()
)
# invoices_id, the repeat invoice, invoices_date, invoices_service
DOCUMENTED_INVOICES = (
    (7514880, 19156909, "2021-02-24 01:38:45", 8556),
    (7529153, 19158862, "2021-02-24 20:41:08", 8626),
    (7530357, 19159254, "2021-02-25 03:47:59", 8640),
    (7530371, 19159261, "2021-02-25 03:53:53", 8647),
    (7530378, 19159268, "2021-02-25 03:58:33", 8654),
    (7530434, 19159282, "2021-02-25 04:12:02", 8661),
    (7531463, 19159450, "2021-02-25 06:25:42", 8668),
    (7531484, 19159457, "2021-02-25 06:30:55", 8675),
    (7531491, 19159464, "2021-02-25 06:31:22", 8682),
    (7531540, 19159478, "2021-02-25 06:33:14", 8689),
    (7680075, 19171275, "2021-03-05 13:42:23", 9076),
    (23785939, 20555866, "2023-11-02 20:21:57", 50367),
)
PREPAYS = (
    (1116, "2015-10-29 23:06:37"),
    (1117, "2015-10-29 23:10:23"),
    (1118, "2015-10-29 23:26:52"),
)
_PAYPAL = (
    "https://www.paypal.com/cgi-bin/webscr?cmd=_xclick&business=vps@interserver.net"
    "&item_name=%28Repeat+Invoice%3A+385928%29+INTERSERVER-EXTERNAL&custom=INVdomains10000"
    "&buyer_credit_promo_code=&buyer_credit_product_category=&buyer_credit_shipping_method="
    "&buyer_credit_user_address_change=&amount=34.00&no_shipping=0&no_note=1&currency_code=USD"
    "&lc=US&bn=PP%2dBuyNowBF&charset=UTF%2d8"
)
PAYPAL_ANCHOR = f'<a href="{_PAYPAL}" target=_blank>Click Here to make a PayPal payment</a>'


def _choose_documented(n: int) -> tuple[int, int, str, int]:
    """Return the n-th documented invoice; behind the last one they go on, a day apart."""
    more = max(0, n - len(DOCUMENTED_INVOICES) + 1)
    id, repeat, date, service = DOCUMENTED_INVOICES[min(n, len(DOCUMENTED_INVOICES) - 1)]
    moved = datetime.fromisoformat(date) + timedelta(days=more)
    return id + more, repeat + more, str(moved), service + more


def describe_renewal(repeat: int | None) -> str:
    """Return what a charge of a repeat invoice says that it is for."""
    return f"(Repeat Invoice: {repeat}) MailBaby Mail"


def make_invoice(n: int) -> models.Invoice:
    """Return the n-th documented invoice."""
    id, repeat, date, service = _choose_documented(n)
    return models.Invoice(
        invoices_id=id,
        invoices_description=describe_renewal(repeat),
        invoices_amount=1.0,
        invoices_custid=160884,
        invoices_type=1,
        invoices_date=date,
        invoices_group=0,
        invoices_extra=repeat,
        invoices_paid=0,
        invoices_module="mail",
        invoices_due_date=str(datetime.fromisoformat(date) + timedelta(days=14)),
        invoices_service=service,
        invoices_deleted=0,
        invoices_currency="USD",
    )


def make_service(n: int) -> models.MailService:
    """Return the service of the n-th documented invoice."""
    _, repeat, date, id = _choose_documented(n)
    return models.MailService(
        mail_id=id,
        mail_username="",
        mail_type=10880,
        mail_currency="USD",
        mail_order_date=date,
        mail_custid=160884,
        mail_quota=0,
        mail_ip="",
        mail_status="expired",
        mail_invoice=repeat,
        mail_coupon=0,
        mail_extra="[]",
        mail_server_status="",
        mail_comment="",
    )


def make_prepay(id: int, created: str) -> models.Prepay:
    """Return a documented prepay with this id."""
    return models.Prepay(
        prepay_id=id,
        prepay_type=0,
        prepay_status="",
        prepay_date="2017-01-11 14:03:02",
        prepay_created=created,
        prepay_amount=10.0,
        prepay_remaining=0.0,
        prepay_service=0,
        prepay_automatic_use=1,
        prepay_module="domains",
    )
