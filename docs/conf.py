# SPDX-License-Identifier: ZPL-2.1
"""How Sphinx builds the site from this folder, see pages.py: `make docs`."""
import sys
from importlib.metadata import version as versionOf
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

project = 'p01.remote'
version = release = versionOf('p01.remote')
extensions = ['myst_parser', 'sphinx.ext.doctest', 'docs.pages']
exclude_patterns = ['upstream']         # faults of others, to be read where they are
nitpicky = False                        # types in signatures are others' names
smartquotes = False                     # '10m' is code
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = 'hide'
myst_heading_anchors = 3
myst_enable_extensions = ['colon_fence', 'deflist']

html_theme = 'furo'
html_title = f'p01.remote {release}'
html_show_copyright = False
html_copy_source = False

doctest_global_setup = '''
from types import SimpleNamespace
from p01.remote import testing
testing.setUp(SimpleNamespace(globs=globals()))
'''
doctest_global_cleanup = 'testing.tearDown(None)'

# the command as `man p01-remote` has it, from its own definitions
man_pages = [('reference/command', 'p01-remote',
              'durable background jobs in an object database', '', 1)]
