# SPDX-License-Identifier: ZPL-2.1
"""What customers find."""
from shop import app, works


@app.schedule('0 4 * * 0', tz='Europe/Berlin', kwargs={'catalogue': 'all'})
@app.job(queue='index', capture=True)
def reindex(catalogue, articles=94_000):
    """The catalogue."""
    works(0.652, articles, f'articles of {catalogue}')
