"""What one element says it is, asked once: nil, a text, a struct, an array or a map."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from lxml import etree

from ..errors import ResponseError
from ..patterns import BLANK, is_count

if TYPE_CHECKING:
    from collections.abc import Collection

_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"  # SOAP 1.1 5
_ENCODINGS = (_ENCODING, "http://www.w3.org/2003/05/soap-encoding")  # SOAP 1.2 part 2, 3
_STANDARDS = ("http://schemas.xmlsoap.org/", "http://www.w3.org/")
_SCHEMA = "XMLSchema"  # in the namespace of each of its versions
_INSTANCES = [
    f"http://www.w3.org/{year}/XMLSchema-instance" for year in ("2001", "1999", "2000/10")
]
INSTANCE = _INSTANCES[0]
_LOCATIONS = ("schemaLocation", "noNamespaceSchemaLocation")  # XML Schema part 1, 2.6.3
# PHP's ext/soap and Axis write associative arrays as Map.
_MAP_NAMESPACES = (None, "http://xml.apache.org/xml-soap")
_COUNTS = ("arrayType", "arraySize")  # SOAP 1.1 5.4.2, SOAP 1.2 part 2 3.1.6
_COUNTS_OF_SOAP = {*_COUNTS, *(f"{{{uri}}}{name}" for uri in _ENCODINGS for name in _COUNTS)}
_MAX_COUNT_DIGITS = 18
MAX_DEPTH = 64
# lxml builds a dict of all namespaces in scope for each prefix that is looked up.
MAX_NAMESPACES_IN_SCOPE = 200

# What an element is. OPEN: nothing says it. One untyped child may be the only field or the only
# row, and an empty untyped element may be anything.
TEXT, STRUCT, ARRAY, MAP, OPEN = "a text", "a struct", "a list", "a map", "an element of no type"

INTEGERS = frozenset(
    "int integer long short byte unsignedInt unsignedLong unsignedShort unsignedByte "
    "positiveInteger nonNegativeInteger negativeInteger nonPositiveInteger".split()
)
OTHER_NUMBERS = {"float": float, "double": float, "decimal": float, "boolean": bool}
_BASE64_TYPES = ("base64Binary", "base64")


class XPath:
    """An XPath expression; a response that is too large for it is a ResponseError."""

    __slots__ = ("_compiled", "_expression", "_process")

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._process = 0

    def __call__(self, element: etree._Element) -> Any:
        """Find what the expression says, seen from an element."""
        # lxml holds a lock in a compiled expression while it is used. A fork in another thread
        # leaves it taken in the child (test_process).
        if self._process != os.getpid():
            self._compiled = etree.XPath(self._expression, smart_strings=False)
            self._process = os.getpid()
        try:
            return self._compiled(element)
        except etree.LxmlError as error:
            problem = str(error)
        raise ResponseError("larger than can be read", value=problem)


_TEXT_INSIDE = XPath("string(text()[normalize-space()])")


class XsiType(NamedTuple):
    """An ``xsi:type``: the namespace, ``None`` where its prefix means none, and the name."""

    namespace: str | None
    name: str

    @property
    def is_standard(self) -> bool:
        """Whether it is one of XML Schema or of SOAP, or may be."""
        if self.namespace is None or self.namespace in _ENCODINGS:
            return True
        return self.namespace.startswith(_STANDARDS) and _SCHEMA in self.namespace

    @property
    def is_any(self) -> bool:
        """Whether it says nothing of what such an element is."""
        return self.name in ("anyType", "ur-type") and self.is_standard

    @property
    def is_base64(self) -> bool:
        """Whether it is a text in base64."""
        return self.name in _BASE64_TYPES and self.is_standard

    @property
    def kind(self) -> str:
        """What such an element is; OPEN: a type of the server's own, which may be anything."""
        if self.name == "Map" and self.namespace in _MAP_NAMESPACES:
            return MAP
        if not self.is_standard:
            return OPEN
        if "[" in self.name:
            return ARRAY
        if self.name in ("Array", "Struct") and _SCHEMA not in (self.namespace or ""):
            return ARRAY if self.name == "Array" else STRUCT
        is_known = self.name in INTEGERS or self.name in OTHER_NUMBERS or self.is_base64
        return TEXT if self.namespace or is_known else OPEN


class Claim(NamedTuple):
    """What an element says it is.

    ``type`` is its own, or else what its array says of all items. ``is_reference``: if it is empty,
    it stands for another one. ``rows``, how many there are, and ``item_type`` are those of an
    array; ``None``: it does not say.
    """

    kind: str
    type: XsiType | None
    is_nil: bool
    is_reference: bool
    rows: int | None
    item_type: XsiType | None

    @property
    def is_base64(self) -> bool:
        """Whether its text is in base64."""
        return self.type is not None and self.type.is_base64

    @property
    def is_plain_text(self) -> bool:
        """Whether it says nothing but that it is a text, to be read as it is."""
        is_text = self.kind is TEXT or (self.kind is OPEN and self.type is None)
        return is_text and not (self.is_nil or self.is_reference or self.is_base64)

    @property
    def is_struct(self) -> bool:
        """Whether it may hold fields."""
        return self.kind in (STRUCT, OPEN) and not (self.is_nil or self.is_reference)

    def resolve(self, count: int, names: Collection[str], place: object) -> str:
        """Return what an element is that may be a struct, with so many children of these names.

        An array is told by its number of rows (SOAP 1.1 5.4.2), or by children that share a name.
        """
        if self.kind is OPEN and len(names) == 1 < count:
            return ARRAY
        if len(names) < count:
            raise ResponseError("duplicate field", place=str(place), value=", ".join(names))
        return OPEN if self.kind is OPEN and self.type is None and count < 2 else STRUCT

    def require_fields(self, place: str) -> None:
        """Refuse what is no struct, or nil."""
        if self.is_nil or self.kind not in (STRUCT, OPEN):
            kind = "nil" if self.is_nil else self.kind
            raise ResponseError(f"{kind} instead of fields", place=place)

    def require_list(self, kind: str, place: str, names: Collection[str] = ()) -> None:
        """Refuse what is neither a list, of this kind, nor nil."""
        if not self.is_nil and kind not in (ARRAY, OPEN):
            problem = f"{kind} instead of a list"
            raise ResponseError(problem, place=place, value=", ".join(names) or None)

    def check_count(self, sent: int, place: object) -> None:
        """Refuse an array of more or fewer rows than it declares."""
        if self.rows is not None and self.rows != sent:
            raise ResponseError(f"{self.rows} rows declared and {sent} sent", place=str(place))


def read_claim(element: etree._Element, place: object, declared: XsiType | None = None) -> Claim:
    """Return what the attributes say; ``declared``: what the array of the element says of it.

    Those of an array and nil count in any namespace, as a damaged letter in one must not hide them;
    but ``type`` is a common name. ResponseError: they contradict each other.
    """
    unqualified = array_type = item_type = None
    types: set[str] = set()
    counts: set[int | None] = set()
    nils: set[str] = set()
    is_reference = False
    for key, value in element.items():
        namespace, _, name = key.rpartition("}")
        is_instance = namespace[1:] in _INSTANCES
        if name == "nil" or (name == "null" and is_instance):  # null: SOAP 1.1 5.1
            nils.add(_parse_nil(value, place))
        elif name == "type" and is_instance:
            types.add(value)
        elif name == "type":
            unqualified = unqualified if namespace else value
        elif is_instance and name not in _LOCATIONS:
            problem = "an attribute that XML Schema does not have"
            raise ResponseError(problem, place=str(place), value=name)
        elif name in _COUNTS:
            counts.add(_parse_count(value, place))
            array_type = value if name == "arrayType" else array_type
        elif name == "itemType":
            item_type = value
        elif name in ("href", "ref"):
            is_reference = True
        elif name in ("offset", "position") and namespace[1:] == _ENCODING and value:
            # SOAP 1.1 5.4.2.1 and 5.4.2.2
            raise ResponseError("a partially transmitted array", place=str(place), value=value)
    qname = next(iter(types), unqualified)
    own = declared if qname is None else resolve_type(element, qname)
    if own is not None and own.is_any:
        own = None
    kind = OPEN if own is None else own.kind
    if counts:
        if kind not in (ARRAY, OPEN):
            raise ResponseError(f"{kind} that declares rows", place=str(place))
        kind = ARRAY
    counts.discard(None)
    for said in (nils, counts, types):
        if len(said) > 1:
            problem = "attributes that contradict each other"
            said_all = " and ".join(sorted(map(str, said)))
            raise ResponseError(problem, place=str(place), value=said_all)
    items = array_type or item_type
    # Its own type says it of the items only with a rank behind it, as in "xsd:int[]".
    ranked = own if own is not None and "[" in own.name else None
    item = ranked if items is None else resolve_type(element, items)
    item = None if item is None else _remove_rank(item)
    return Claim(kind, own, "nil" in nils, is_reference, next(iter(counts), None), item)


def read_shape(element: etree._Element, place: object, declared: XsiType | None = None) -> Claim:
    """Return what an element is, by its attributes, its children and its text together.

    ResponseError: they contradict each other.
    """
    return check_content(element, read_claim(element, place, declared), place)


def check_content(element: etree._Element, claim: Claim, place: object) -> Claim:
    """Return what an element is whose attributes say this.

    ResponseError: its content says something else. By XML Schema part 1, cvc-elt 3.2.1, nil has
    none.
    """
    count = len(element)
    text = _TEXT_INSIDE(element) if count else (element.text or "").strip(BLANK)
    kind = claim.kind
    if claim.is_reference and not (count or text):
        # SOAP 1.1 5.4.1, SOAP 1.2 part 2 3.1.5; NuSOAP reads them (class.soap_parser.php) and never
        # writes them.
        problem = "multi-reference values are not supported"
        raise ResponseError(problem, place=str(place), value=_find_target(element))
    if claim.is_nil and (count or text):
        raise ResponseError("nil with content", place=str(place), value=text or None)
    if count and kind is TEXT:
        raise_nested(element, place)
    if count or kind not in (TEXT, OPEN):
        reject_text(text, place)
    if kind is OPEN and text:
        kind = TEXT
    elif kind in (OPEN, STRUCT) and not claim.is_nil:
        kind = claim.resolve(count, dict.fromkeys(map(local_name, element)), place)
    claim.check_count(count, place)
    return claim if kind is claim.kind else claim._replace(kind=kind)


def has_row_count(array: etree._Element) -> bool:
    """Return whether an array says by SOAP's own attributes how many rows there are."""
    has_own = not _COUNTS_OF_SOAP.isdisjoint(array.keys())
    return has_own and read_claim(array, "return").rows is not None


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def write_qualified_name(element: etree._Element) -> str:
    """Return an element's name as its tags have it."""
    name = local_name(element)
    return f"{element.prefix}:{name}" if element.prefix else name


def reject_text(text: str, place: object) -> None:
    """Refuse a text that is not empty."""
    if text:
        raise ResponseError("text between fields", place=str(place), value=text)


def reject_text_inside(element: etree._Element, place: object) -> None:
    """Refuse text between the children of an element."""
    reject_text(_TEXT_INSIDE(element), place)


def raise_nested(element: etree._Element, place: object) -> NoReturn:
    """Refuse an element that holds others where a text belongs."""
    inner = local_name(element[0])
    raise ResponseError("a nested element in a value", place=str(place), value=inner)


def _find_target(element: etree._Element) -> str:
    names = ("href", "ref")
    return next(text for key, text in element.items() if key.rpartition("}")[2] in names)


# --- attributes ------------------------------------------------------------------------------


def resolve_type(element: etree._Element, qname: str) -> XsiType:
    """Return the type that an attribute names, by what its prefix means there."""
    namespaces = element.nsmap
    if len(namespaces) > MAX_NAMESPACES_IN_SCOPE:
        problem = f"more than {MAX_NAMESPACES_IN_SCOPE} namespaces"
        raise ResponseError(problem, place=local_name(element))
    prefix, _, local = qname.strip(BLANK).rpartition(":")
    return XsiType(namespaces.get(prefix or None), local)


def _remove_rank(item: XsiType) -> XsiType | None:
    """Return the type of one item, without the numbers of rows behind it."""
    name = item.name.rpartition("[")[0] if "[" in item.name else item.name
    return item._replace(name=name) if name else None


def _parse_nil(text: str, place: object) -> str:
    if text.strip(BLANK) in ("true", "1"):
        return "nil"
    if text.strip(BLANK) in ("false", "0"):
        return "not nil"
    raise ResponseError("invalid xsi:nil value", place=str(place), value=text)


def _parse_count(text: str, place: object) -> int | None:
    """Return the number of rows in what an attribute says, such as ``xsd:string[5]``."""
    digits = text.strip(BLANK)
    if digits.endswith("[]") or digits == "*":
        return None
    if digits.endswith("]"):
        digits = digits[:-1].rpartition("[")[2].strip(BLANK)
    if not is_count(digits, _MAX_COUNT_DIGITS):
        raise ResponseError("invalid number of rows", place=str(place), value=text)
    return int(digits)
