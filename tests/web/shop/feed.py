# SPDX-License-Identifier: ZPL-2.1
"""What others show of our articles."""
from shop import app


@app.schedule(every='15m', kwargs={'market': 'north'})
@app.job(queue='feed')
def export(market):
    """A feed."""
