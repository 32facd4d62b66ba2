# SPDX-License-Identifier: ZPL-2.1
"""The figures."""
from shop import app, works


@app.schedule('30 2 * * *', tz='Europe/Berlin', kwargs={'day': 'yesterday'})
@app.job(queue='report', retries=1, capture=True)
def nightly(day):
    """Those of a day."""
    works(0.375, 8, 'margins')


@app.schedule('0 6 1 * *', kwargs={'week': 47}, title='Monthly close')
@app.job(queue='report', retries=0)
def margin(week):
    """Those of a week."""
    return {'week': week}['margin']
