# SPDX-License-Identifier: ZPL-2.1
"""The App that a text names, as the command has it."""
from __future__ import annotations

from pathlib import Path

from p01.remote import storage
from p01.remote.app import App
from p01.remote.exceptions import AddressError
from p01.remote.ground import foreign, imports


def loadApp(target: str) -> App:
    """The App that 'module:attribute' names, imported with the current folder on the path; or an
    App of an address.

    Raises AddressError or RegistrationError with what to mend.
    """
    imports.reachable()     # for an address too: its jobs are imported by name
    text, _, path = target.partition('#')
    names = imports.split(text)
    if names is not None and names[0] not in storage.known():
        found: App = imports.found(*names, App)
        if path:
            found.close()
            found.home.move(path)
        return found
    try:
        return App(target)
    except AddressError as error:
        if storage.isAddress(target):
            raise
        form = imports.corrected(target)
        if not form or Path(target).is_dir():
            form = storage.meant(target) or form
        hint = f'; did you mean {form}?' if form else '.'
        raise AddressError(f'{foreign.shown(storage.hidden(target))} is of no kind known here: APP '
                           'is module:attribute of an App, or an address such as '
                           f'sqlite:./jobs{hint}') from error
