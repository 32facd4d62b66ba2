# SPDX-License-Identifier: ZPL-2.1
"""Every text has the contrast that WCAG 2.2 AA asks for, every mark and control that of graphics,
in light and in dark; both dark blocks are the same."""
import re
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / 'src' / 'p01' / 'remote' / 'web' / 'static'
STATES = 'queued', 'delayed', 'running', 'completed', 'retry', 'error', 'cancelled'
GROUNDS = 'canvas', 'surface', 'sunken', 'chip', 'hover', 'selected', 'code-bg'
PAIRS = [
    *((text, ground, 4.5) for text in ('ink', 'ink-2', 'ink-3') for ground in GROUNDS),
    *((state, ground, 4.5) for state in STATES
      for ground in ('surface', 'canvas', 'hover', 'selected', f'{state}-tint')),
    *((f'{state}-fill', 'surface', 3.0) for state in STATES),
    ('ink-inverse', 'solid', 4.5), ('on-danger', 'danger-solid', 4.5), ('ink', 'code-hot', 4.5),
    ('ink-3', 'code-hot', 4.5), ('control-line', 'surface', 3.0), ('focus', 'canvas', 3.0),
    ('focus', 'surface', 3.0)]


def themes():
    """The colours by name, of each theme."""
    text = (STATIC / 'tokens.css').read_text()
    blocks = [dict(re.findall(r'--([\w-]+):\s*(#[0-9a-f]{6})', block))
              for block in re.findall(r'color-scheme: (?:light|dark);(.*?)\}', text, re.S)]
    light, *dark = blocks
    assert len(dark) == 2 and dark[0] == dark[1]
    return {'light': light, 'dark': dark[0]}


def luminance(colour):
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
                        for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_contrasts(theme):
    colours = themes()[theme]
    for one, other, least in PAIRS:
        low, high = sorted((luminance(colours[one]), luminance(colours[other])))
        assert (high + 0.05) / (low + 0.05) >= least, (one, other)


def test_colours_stand_in_tokens_alone():
    for name in ('components.css', 'pages.css'):
        found = re.findall(r'#[0-9a-fA-F]{3,8}\b(?![^{]*\{)', (STATIC / name).read_text())
        assert not found, (name, found)
    used = set(re.findall(r'var\(--([\w-]+)', ''.join(
        (STATIC / name).read_text() for name in ('components.css', 'pages.css'))))
    known = set(re.findall(r'--([\w-]+):', (STATIC / 'tokens.css').read_text())) | {'tone'}
    assert used <= known
