"""``extract.rows`` beside the parser alone, in turn, on the same bytes; prints both medians."""

import statistics
import sys
import time
from collections.abc import Callable

from lxml import etree

from soapmail import Invoice
from soapmail.extract import rows
from tests.support import make_many_rows

data = make_many_rows(int(sys.argv[1]))


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


times = [
    (seconds(lambda: etree.fromstring(data)), seconds(lambda: rows(data, Invoice)))
    for _ in range(int(sys.argv[2]))
]
print(*(statistics.median(column) for column in zip(*times, strict=True)))
