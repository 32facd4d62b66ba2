# SPDX-License-Identifier: ZPL-2.1
"""What stands in pages that is written elsewhere; an extension of Sphinx, see conf.py.

In place of a line `<!-- book: NAME -->` stands a page of the reference, in place of
`<!-- part: FILE # HEADING -->` a part of a file of the repository, or all of it.
"""
from __future__ import annotations

import re
from typing import Any

from docs.book import PAGES, ROOT

SITE = {'README.md': 'index.md', 'ARCHITECTURE.md': 'architecture.md', 'CHANGES.md': 'changes.md',
        'CONTRIBUTING.md': 'contributing.md', 'SECURITY.md': 'security.md',
        'examples': 'examples.md'}      # files and folders that have a page
BOOK = re.compile(r'^<!-- book: (\w+) -->$', re.M)
PART = re.compile(r'^<!-- part: (\S+)(?: # (.+))? -->$', re.M)
ABOVE = re.compile(r'\]\(\.\./([\w./]+)')     # a link from docs/ to what is above it
APART = re.compile(r'\[([^\]]+)\]\((?:docs/)?upstream/[^)]*\)')      # what is no page, see conf.py
LINK = re.compile(r'\[([^\]]+)\]\((?!\w+:)([^)#\s]+)(#[^)\s]+)?\)')


def part(name: str, heading: str) -> str:
    """A file of the repository, or what stands there below a heading, or before the first one
    ('top'); its links lead to the pages of the site. Raises LookupError where nothing does."""
    body = (ROOT / name).read_text('utf-8')
    if heading == 'top':
        body = body.partition('\n## ')[0].partition('\n')[2]
    elif heading:
        body = body.partition(f'\n## {heading}\n')[2].partition('\n## ')[0]
    if not body.strip():
        raise LookupError(f'{name} has nothing under the heading {heading}.')
    return LINK.sub(moved, APART.sub(r'\1', body)).strip()


def moved(found: re.Match[str]) -> str:
    """A link from the top folder as one from docs/; what is no page is named only."""
    words, target, anchor = found.groups()
    page = SITE.get(target) or target.removeprefix('docs/')
    if not (ROOT / 'docs' / page).is_file():
        return words
    words = '' if words == target else words        # without words it has the page's title
    return f'[{words}]({page}{anchor or ""})'


def fill(source: str) -> str:
    """A page with what its lines ask for."""
    source = ABOVE.sub(lambda found: f']({SITE.get(found[1], found[0][2:])}', source)
    source = APART.sub(r'\1', source)
    told = BOOK.sub(lambda found: PAGES[found[1]](), source)
    return PART.sub(lambda found: part(found[1], found[2] or ''), told)


def setup(app: Any) -> dict[str, bool]:
    """Have Sphinx fill pages as it reads them."""
    def read(app: Any, page: str, source: list[str]) -> None:
        source[0] = fill(source[0])
    app.connect('source-read', read)
    return {'parallel_read_safe': True}
