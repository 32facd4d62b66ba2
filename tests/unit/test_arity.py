# SPDX-License-Identifier: ZPL-2.1
"""How many positional arguments fit is what the binding of a signature says."""
import inspect

import pytest

from p01.remote.front.signatures import arity

TEXTS = ['', 'a', 'a, b', 'a, /', 'a, /, b', 'a=1', 'a, b=1', 'a, b=1, /', '*a', 'a, *b',
         'a, b=1, *c', '*, a', '*, a=1',
         'a, *, b', 'a, *, b=1', 'a, *b, c', '**a', 'a, **b', 'a, b=1, *c, d=2, **e',
         'a, *b, c, **d']


@pytest.mark.parametrize('text', TEXTS)
def test_positional_arguments_fit_as_binding_says(text):
    signature = inspect.signature(eval(f'lambda {text}: None'))
    least, most = arity(signature)
    for count in range(5):
        try:
            signature.bind(*range(count))
            fits = True
        except TypeError:
            fits = False
        assert (least <= count <= most) is fits
