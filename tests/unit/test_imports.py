# SPDX-License-Identifier: ZPL-2.1
"""APP as it was written: each slip gets a sentence that says where it is and what was probably
meant."""
import sys

import pytest

from p01.remote.exceptions import RemoteError
from p01.remote.front.named import loadApp

MODULES = {
    'trytasks': 'from p01.remote import App\napp = App("memory:")\nother = 5\ndef make(): return '
                'app\n',
    'trytwo': 'from p01.remote import App\nweb = App("memory:")\nbatch = App("memory:")\n',
    'trysyntax': 'x = (\n', 'tryzero': '\n\n1 / 0\n',
    'tryexits': 'import sys\n\nsys.exit("the key is not set")\n',
    'tryquits': 'quit()\n', 'trylacks': 'import nothing_like_this\n',
    'trydeep': 'import json\n\njson.loads("{")\n',
    'tryoption': 'from p01.remote import App\napp = App("memory:")\n\n@app.job(retry=3)\ndef f(): '
                 'pass\n',
    'trysetting': 'from p01.remote import App\napp = App("memory:", pool_sizes=3)\n',
    'trymute': 'class Mute(Exception):\n    def __str__(self): raise SystemExit\nraise Mute\n',
    'tryasync': 'from p01.remote import App\napp = App("memory:")\n\n@app.job\nasync def f():\n'
                '    yield 1\n'}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in MODULES.items():
        (tmp_path / f'{name}.py').write_text(text)
    (tmp_path / 'trypackage').mkdir()
    (tmp_path / 'trypackage' / '__init__.py').write_text('')
    (tmp_path / 'trypackage' / 'work.py').write_text(MODULES['trytasks'])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.path', list(sys.path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith('try')]:
        del sys.modules[name]


@pytest.mark.parametrize('target, words', [
    ('trytasks', ['module:attribute',
                  'did you mean trytasks:app?']), ('./trytasks.py:app', [('did you mean '
                                                                         'trytasks:app?')]),
    ('trytasks.py', ['did you mean trytasks:app?']), (
        'trytasks.app', ['did you mean trytasks:app?']),
    ('trytasks:make()', ['module:attribute',
                         'trytasks:make?']), ('trypackage/work.py:app', ['trypackage.work:app?']),
    ('', ['module:attribute']), (':', ['module:attribute']), ('a b:c', ['module:attribute']), (
        './jobs', ['module:attribute']),
    ('trytasks:', ['module:attribute', 'trytasks:app?']), ('/var/jobs.fs', ['module:attribute']),
    ('trytasks:ap', ['has no ap',
                     'did you mean trytasks:app']), ('trytasks:other', ['no App but int',
                                                                        'trytasks:app']),
    ('trytasks:make', ['no App but function']), ('trytwo:app', ['batch, web']), (
        'trytwo:batches', ['trytwo:batch']),
    ('trytask:app', ['there is no module trytask', 'did you mean trytasks:app?']),
    ('trypackage.wrk:app', ['there is no module trypackage.wrk']),
    ('trysyntax:app', ['trysyntax.py, line 1',
                       'SyntaxError']), ('tryzero:app', ['tryzero.py, line 3: ZeroDivisionError']),
    ('tryexits:app', ['tryexits.py, line 3', "ends Python with 'the key is not set'"]),
    ('tryquits:app', ['tryquits.py, line 1']),
    ('trylacks:app', ['trylacks.py, line 1: ModuleNotFoundError', 'nothing_like_this']),
    ('trydeep:app', ['trydeep.py, line 3: JSONDecodeError']), ('tryoption:app', [('tryoption.py, '
                                                                                 'line 4'),
                                                                                 'retries']),
    ('trysetting:app', ['trysetting.py, line 2',
                        'pool_size?']), ('trymute:app', ['trymute.py, line 3: Mute']),
    ('tryasync:app', ['tryasync.py, line 4', 'generator'])])
def test_a_slip_is_told(folder, target, words):
    with pytest.raises(RemoteError) as error:
        loadApp(target)
    text = str(error.value)
    assert text.count('.py, line ') <= 1, text
    assert '\n' not in text and text.count('..') == 0 and all(word in text for word in words), text
    if 'line' in text:
        assert 'module:attribute' not in text       # it was right


def test_what_is_right_is_taken(folder):
    assert loadApp('trytasks:app') is sys.modules['trytasks'].app
    assert loadApp('trypackage.work:app') is sys.modules['trypackage.work'].app


def test_the_current_folder_may_be_gone(folder, monkeypatch):
    gone = folder / 'gone'
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(RemoteError, match=r'no module|folder was removed'):
        loadApp('nosuchmodule:app')
