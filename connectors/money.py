"""Amounts of money as shops write them, exactly, with their ISO 4217 currency."""

import re
from decimal import Decimal
from typing import NamedTuple

_CODES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD
CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT
LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR
NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD
XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_CODES.split())
"""The currencies in use by ISO 4217."""

_AMOUNT = re.compile(r"([A-Za-z]{3})?\s*([-+]?[0-9][0-9.,]*)\s*([A-Za-z]{3})?")
_PLAIN = re.compile(r"\d{1,12}(\.\d{1,6})?")
_COMMAS = re.compile(r"\d{1,3}(,\d{3}){1,3}(\.\d{1,6})?")
_POINTS = re.compile(r"(\d{1,3}(\.\d{3}){1,3},\d{1,2}|\d{1,12},\d{1,2})")


class Money(NamedTuple):
    """An amount, not below 0, and its currency."""

    amount: Decimal
    currency: str


def money(text: str, currency: str | None = None) -> Money:
    """An amount such as `15.00 USD`, `1,299.00 USD` or `1.299,00 EUR`.

    currency: that of an amount that names none; another one is refused. Raises ValueError.

    >>> money("15.00 USD")
    Money(amount=Decimal('15.00'), currency='USD')
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is no amount of money; write it as 15.00 {currency or 'USD'}")
    before, digits, behind = found.groups()
    if digits.startswith("-"):
        raise ValueError(f"{text[:40]!r} is below 0")
    digits = digits.removeprefix("+")
    if _COMMAS.fullmatch(digits):
        digits = digits.replace(",", "")
    elif _POINTS.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    elif not _PLAIN.fullmatch(digits):
        raise ValueError(f"{text[:40]!r} is no amount of money; write it as 15.00 {currency or 'USD'}")
    if before and behind:
        raise ValueError(f"{text[:40]!r} names two currencies")
    named = (before or behind or "").upper()
    if named and named not in CURRENCIES:
        raise ValueError(f"{text[:40]!r} is in {named}, which is no ISO 4217 currency, as USD and EUR are")
    if not (named or currency):
        raise ValueError(
            f"{text[:40]!r} names no currency; write it as {text.strip()[:20]} USD, or set `currency`"
        )
    if currency and named and named != currency:
        raise ValueError(f"{text[:40]!r} is in {named}, and the shop's prices are in {currency}")
    return Money(Decimal(digits), named or currency or "")


def minor_units(text: str, digits: int) -> Decimal:
    """An amount that is given in a currency's smallest unit. Raises ValueError.

    >>> minor_units("1105", 2), minor_units("1105", 0)
    (Decimal('11.05'), Decimal('1105'))
    """
    if not (text.isascii() and text.isdigit()) or not 0 <= digits <= 6:
        raise ValueError(f"{text[:40]!r} is no amount in units of 10^-{digits}")
    return Decimal(text).scaleb(-digits)
