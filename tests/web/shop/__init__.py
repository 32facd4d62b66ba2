# SPDX-License-Identifier: ZPL-2.1
"""A shop whose jobs the dashboard is shown with; tests/web is on the path, so that its name is
short."""
import os
import time

from p01.remote import App, current

app = App(os.environ.get('SHOP', 'memory:'))


def works(share, total, text):
    """Be somewhere in the middle, and say so, for as long as somebody watches."""
    for step in range(5):
        print(f'part {step + 1} of 5 read, {total * (step + 1) // 7:,} in all')
    for _ in range(2400):
        current.progress(int(share * total), total, text)
        time.sleep(0.5)         # a job that lasts, for who looks at it


from shop import feed, image, index, mail, report, stock  # noqa: E402, F401
