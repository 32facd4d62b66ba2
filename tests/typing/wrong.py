# SPDX-License-Identifier: ZPL-2.1
"""What checkers of types must find: one fault in each line that ends with a mark."""
from p01.remote import App

app = App('memory:')


@app.job
def add(one: int, two: int = 0) -> int:
    """A job."""
    return one + two


add('1')  # wrong
add.enqueue()  # wrong
add.enqueue('1')  # wrong
add.enqueue(1, three=3)  # wrong
add.using(urgent=True)  # wrong
add.using(priority='high')  # wrong
text: str = add.enqueue(1).result()  # wrong
app.job(retry=3)  # wrong
app.job(queue=3)  # wrong
add.map(1)  # wrong
app.schedule(evry='1m')  # wrong
app.schedule(every=None, tz=5)  # wrong
app.schedules.change('x', jitter=[])  # wrong
