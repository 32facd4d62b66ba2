# SPDX-License-Identifier: ZPL-2.1
"""What a forked child has anew: the locks that a thread of its parent's may hold."""
import os
import pkgutil
import threading
from importlib import import_module

import p01.remote
from p01.remote.ground import fork


def freeElsewhere(lock):
    """Whether another thread could take a lock now."""
    found = []
    thread = threading.Thread(target=lambda: found.append(lock.lock.acquire(blocking=False)))
    thread.start()
    thread.join()
    return found[0]


def test_a_child_has_free_what_another_thread_of_its_parent_holds():
    lock, held, over = fork.Lock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    child = os.fork()
    if not child:
        os._exit(0 if lock.lock.acquire(timeout=10) else 1)
    over.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    with lock:
        with lock:      # what comes between, as a signal handler, waits for nobody
            assert not freeElsewhere(lock)


def test_who_forks_while_he_holds_it_leaves_it_in_both():
    lock = fork.Lock()
    with lock:
        child = os.fork()
    if not child:
        os._exit(0 if freeElsewhere(lock) else 1)
    assert os.waitpid(child, 0)[1] == 0 and freeElsewhere(lock)


def test_no_module_of_ours_has_a_lock_of_another_kind():
    others = []
    for each in pkgutil.walk_packages(p01.remote.__path__, 'p01.remote.'):
        if not each.name.endswith('__main__'):
            module = import_module(each.name)
            others += [f'{each.name}.{name}' for name, value in vars(module).items()
                       if isinstance(value, type(threading.Lock()) | type(threading.RLock()))]
    assert not others
