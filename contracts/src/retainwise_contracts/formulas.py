"""Which text in a CSV file a spreadsheet would execute (OWASP, CSV Injection), as regular expressions.

Whoever writes CSV for people puts an apostrophe before it, so that it is shown as text; whoever reads such a
file again removes the apostrophe. The expressions are in the syntax that `re` and Rust's `regex` share.
"""

_FORMULA = "[=+\\-@\uff1d\uff0b\uff0d\uff20]"
"""What a formula begins with, also in full width."""

DANGEROUS = f"([\t\r\n\0]|{_FORMULA})"
"""At the start of a cell."""

HARMLESS = r"^[+-]?[\d.,]+$"
"""The whole of a cell: plain numbers may begin with a sign too."""

BEGINS_A_CELL = "([,;|\t\r\n])"
"""Within a cell: a spreadsheet that splits at a different delimiter starts a cell here. Quotes around our
cell do not prevent this: for that spreadsheet they are in the middle too."""

DANGEROUS_THERE = f'(["\0]*{_FORMULA})'
"""After `BEGINS_A_CELL`. A spreadsheet drops quotes and NULs before a formula."""
