# SPDX-License-Identifier: ZPL-2.1
"""Writes the pictures of the dashboard, light and dark, wide and narrow, into docs/pictures: the
shop with an hour behind it, and workers that work. python -m tests.web.pictures"""
import io
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.web.conftest import CHROMIUM, FLAGS

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / 'docs' / 'pictures'
NARROW = 'overview', 'jobs', 'error'
TALLEST = 1800          # pixels; a list goes on like this
COLOURS = 256


def addresses(app, ids, jobid):
    """The pages that are shown."""
    from p01.remote.views.errors import failuresOf
    with app.reading() as processor:
        kind = failuresOf(processor.store).kinds[0]
    return {'overview': '/', 'jobs': '/jobs', 'job': f'/jobs/{jobid}',
            'error': f'/jobs/{kind.jobids[0]}', 'waiting': f'/jobs/{ids["waiting"]}',
            'errors': '/errors', 'failure': f'/errors/{kind.key}', 'queues': '/queues',
            'workers': '/workers', 'schedules': '/schedules',
            'schedule': '/schedules/shop.stock.sync', 'system': '/system'}


def picture(page, path):
    """A picture of a page, small."""
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert('RGB')
    shot = shot.crop((0, 0, shot.width, min(shot.height, TALLEST)))
    # the way that keeps rare colours, such as that of a state
    small = shot.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def write(browser, base, pages):
    """All pictures."""
    for theme in ('light', 'dark'):
        for width in (1440, 390):
            context = browser.new_context(viewport={'width': width, 'height': 900},
                                          color_scheme=theme)
            page = context.new_page()
            for name, path in pages.items():
                if width == 1440 or name in NARROW:
                    page.goto(base + path)
                    page.wait_for_timeout(200)
                    picture(page, FOLDER / f'{name}-{width}-{theme}.png')
            context.close()


def main():
    """Set the stage, and write."""
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory() as folder:
        address = os.environ['SHOP'] = f'sqlite:{folder}/shop'
        import shop
        from waitress import create_server

        from p01.remote.web import ALL, Visitor, wsgi
        from tests.web import stage
        ids = stage.fill(shop.app)
        site = wsgi(shop.app, target='shop:app', access=lambda environ: Visitor('ann', ALL))
        server = create_server(site, host='127.0.0.1', port=0, threads=4)
        threading.Thread(target=server.run, daemon=True).start()
        FOLDER.mkdir(exist_ok=True)
        with stage.Workers(address, shop.app) as workers, sync_playwright() as driver:
            for name in ('shop.stock.sync', 'shop.stock.sync', 'shop.feed.export'):
                shop.app.schedules.runNow(name)
            time.sleep(3)           # so that the pictures show jobs that are some seconds old
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            write(browser, f'http://127.0.0.1:{server.effective_port}',
                  addresses(shop.app, ids, workers.jobs[0]))
            browser.close()
        server.close()
        shop.app.close()
    size = sum(path.stat().st_size for path in FOLDER.glob('*.png'))
    print(f'{len(list(FOLDER.glob("*.png")))} pictures, {size / 1e6:.1f} MB, in {FOLDER}')


if __name__ == '__main__':
    main()
