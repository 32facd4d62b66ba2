# SPDX-License-Identifier: ZPL-2.1
"""axe finds nothing on any page: WCAG 2.2 AA and what is good practice, light and dark, wide and
narrow, also of what is empty, open, asked or refused."""
import hashlib
from pathlib import Path

import pytest

from tests.web.conftest import jobsOf, pagesOf, readOnly

VENDOR = Path(__file__).resolve().parent / 'vendor'
RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
RUN = '''async rules => (await axe.run(document, {
    resultTypes: ['violations'], runOnly: {type: 'tag', values: rules}})).violations.flatMap(
        each => each.nodes.map(node => `${each.id}: ${node.html.slice(0, 200)} `
                                       + node.failureSummary.replace(/\\s+/g, ' ')))'''
EMPTY = ['/', '/jobs', '/errors', '/queues', '/workers', '/schedules', '/system']
# all that can be opened, of menus the first
OPEN = """[...document.querySelectorAll('main details:not(.menu)'),
           ...[...document.querySelectorAll('main .menu')].slice(0, 1)].forEach(
    each => { each.open = true; })"""
OPENED = ['/', '/errors', '/queues', '/schedules', '/schedules/shop.stock.sync']
ODD = ['/jobs?filter=status:error&all=1', '/jobs?filter=nofield:x', '/jobs?filter=nothing+has+this']
LOOKS = [(width, theme) for width in (1440, 320) for theme in ('light', 'dark')]


def found(page):
    """What axe finds on a page."""
    if not page.evaluate('typeof axe === "object"'):
        page.evaluate((VENDOR / 'axe.min.js').read_text())
    return page.evaluate(RUN, RULES)


@pytest.fixture
def looked():
    """Looks at a page, at each width and in each theme; fails at the end when something was
    found."""
    said = []

    def look(page, what):
        for width, theme in LOOKS:
            page.set_viewport_size({'width': width, 'height': 800})
            page.emulate_media(color_scheme=theme, reduced_motion='reduce')
            said.extend(f'{what}, {width} {theme}: {fault}' for fault in found(page))

    yield look
    assert not said, '\n'.join(said)


def walk(page, base, paths, looked, then=None):
    """Look at pages; then: what is done on each of them before."""
    for path in paths:
        page.goto(base + path)
        if then is not None:
            page.evaluate(then)
        looked(page, path)


def test_it_is_what_was_taken_in():
    checksum, name = (VENDOR / 'VENDORED.sha256').read_text().split()
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == checksum
    assert 'Mozilla Public License' in (VENDOR / 'axe.LICENSE').read_text()


def test_it_finds_what_is_wrong(visit):
    page = visit('/jobs')
    page.evaluate('() => { const field = document.createElement("input");'
                  'document.querySelector("main").append(field); }')
    assert [fault for fault in found(page) if fault.startswith('label: ')]


@pytest.mark.slow
def test_every_page(town, visit, looked):
    page = visit()
    walk(page, page.url.rstrip('/'), pagesOf(town), looked)


@pytest.mark.slow
def test_every_page_without_anything(empty, serve, browse, looked):
    base = serve(empty)
    walk(browse(base + '/'), base, EMPTY, looked)


@pytest.mark.slow
def test_what_is_open(town, visit, looked):
    page = visit()
    walk(page, page.url.rstrip('/'), OPENED + jobsOf(town, 'status:error job:receipt')[:1], looked,
         OPEN)
    page.keyboard.press('?')
    looked(page, 'keys')


@pytest.mark.slow
def test_what_is_chosen_asked_done_and_refused(town, visit, looked):
    page = visit('/jobs?filter=status:error')
    page.locator('tbody .check').nth(0).check()
    looked(page, 'chosen')
    page.locator('#bulk button[value=remove]').click()
    looked(page, 'asked')
    page.locator('button.danger-solid').click()
    looked(page, 'done')
    walk(page, page.url.partition('/jobs')[0], ODD, looked)


@pytest.mark.slow
def test_with_workers_that_work(town, visit, looked):
    from tests.web import stage
    with stage.Workers(f'sqlite:{town.app.place.partition(":")[2]}', town.app) as workers:
        page = visit()
        walk(page, page.url.rstrip('/'),
             ['/', '/workers', '/jobs?filter=status:processing', f'/jobs/{workers.jobs[0]}'],
             looked)


@pytest.mark.slow
def test_who_may_only_look(town, visit, looked):
    readOnly(town)
    page = visit()
    walk(page, page.url.rstrip('/'), [jobsOf(town, 'status:error')[0], *OPENED, *ODD], looked)
