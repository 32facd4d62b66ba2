# SPDX-License-Identifier: ZPL-2.1
"""The dashboard in a real browser: pages, keys, what is live, without JavaScript, narrow; nothing
is said on the console, and no policy is violated."""
import pytest

from p01.remote.testing import waitFor
from tests.web.conftest import jobsOf, pagesOf

PACE = 2_000            # milliseconds between two looks of a page
# what is wider than the window, but for what may scroll
WIDE = '''() => [...document.querySelectorAll('body *')].filter(each => {
  const right = each.getBoundingClientRect().right;
  return right > innerWidth + 1 && each.checkVisibility()
    && !each.closest('.tabs, .nav, .code, .tb, .log, .scroll, pre, svg, .vh, .sprite, .bulk, '
    + '.clip, .name, .cut, .copy, .msg');
}).slice(0, 3).map(each => each.outerHTML.slice(0, 200))'''


def looksOf(page):
    """Load a page again, whose clock stands still but for run_for; gives the addresses that it asks
    for by itself from then on."""
    asked = []
    page.clock.install(time=0)
    page.clock.pause_at(3600)
    page.reload()
    page.on('request',
            lambda request: 'hx-request' in request.headers and asked.append(request.url))
    return asked


def test_every_page_stands_at_every_width(town, visit):
    page = visit()
    base = page.url.rstrip('/')
    for path in pagesOf(town):
        for width in (1440, 768, 320):
            page.set_viewport_size({'width': width, 'height': 800})
            page.goto(base + path)
            assert page.evaluate(WIDE) == [], (path, width)
            assert page.evaluate('document.documentElement.scrollWidth <= innerWidth'), path


@pytest.mark.parametrize('path', ['/queues', '/schedules/shop.stock.sync'])
def test_an_open_menu_stands_within_every_window(town, visit, path):
    page = visit(path)
    for width in (320, 360, 768, 1280):
        page.set_viewport_size({'width': width, 'height': 800})
        page.reload()
        page.locator('main .menu > summary').last.click()
        box = page.locator('main .menu[open] ul').bounding_box()
        assert box['x'] >= 0 and box['x'] + box['width'] <= width, (width, box)


def test_every_page_reads_well_aloud(town, visit):
    page = visit()
    base = page.url.rstrip('/')
    for path in pagesOf(town):
        page.goto(base + path)
        assert page.evaluate('''() => [...document.querySelectorAll(
            'button, a, input:not([type=hidden]), select, progress, svg[role=img]')].filter(
            each => each.checkVisibility() && !(each.getAttribute('aria-label')
              || each.textContent.trim() || each.labels && each.labels.length
              || each.getAttribute('aria-labelledby'))).map(each => each.outerHTML.slice(0, 120))
            ''') == [], path
        assert page.locator('h1').count() == 1
        ids = page.evaluate('[...document.querySelectorAll("[id]")].map(each => each.id)')
        assert len(ids) == len(set(ids)), path
        assert page.evaluate('''[...document.querySelectorAll('table')].every(
            each => each.caption && each.querySelector('th[scope]'))'''), path


def test_keys_move_select_and_run_again(town, visit):
    page = visit('/jobs?filter=status:error')
    page.keyboard.press('j')
    page.keyboard.press('x')
    page.keyboard.press('j')
    page.keyboard.press('x')
    assert page.locator('#count').inner_text() == '2'
    assert page.locator('#bulk').is_visible()
    with page.expect_navigation():
        page.keyboard.press('r')
    assert '2 queued again' in page.locator('.toast').inner_text()
    page.keyboard.press('/')
    assert page.evaluate('document.activeElement.name') == 'filter'
    page.keyboard.press('Escape')
    for key, title in (('q', 'Queues'), ('w', 'Workers'), ('s', 'Schedules'), ('y', 'System'),
                       ('e', 'Errors'), ('j', 'Jobs'), ('o', 'Overview')):
        page.keyboard.press('g')
        with page.expect_navigation():
            page.keyboard.press(key)
        assert page.title().startswith(title)
    page.keyboard.press('?')
    assert page.locator('#keys').is_visible()


def test_single_keys_can_be_switched_off(town, visit):
    page = visit('/jobs')
    page.locator('#help').click()
    page.locator('#single').uncheck()
    page.get_by_role('button', name='Close').click()
    page.reload()
    page.keyboard.press('?')
    page.keyboard.press('j')
    assert not page.locator('#keys').is_visible() and page.locator('tr.cursor').count() == 0
    page.locator('#help').click()
    page.locator('#single').check()
    page.get_by_role('button', name='Close').click()
    page.keyboard.press('j')
    assert page.locator('tr.cursor').count() == 1


def test_a_page_follows_the_database_and_costs_304s_when_idle(town, visit):
    page = visit('/queues')
    stati = []
    page.on('response', lambda answer: stati.append(answer.status))
    waitFor(lambda: page.wait_for_timeout(200) or 304 in stati, 20)
    with town.app.transaction():
        from p01.remote import verbs
        verbs.pause(town.app.processor.store, 'mail')
    waitFor(lambda: page.wait_for_timeout(200) or
            page.get_by_role('button', name='Resume mail').count() == 1, 20)
    page.keyboard.press('.')
    assert 'paused' in page.locator('#live').inner_text()
    asked = looksOf(page)
    page.clock.run_for(5 * PACE)
    page.keyboard.press('.')
    with page.expect_response('**/queues*', timeout=20_000):
        page.clock.run_for(PACE)
    assert len(asked) == 1


def test_what_is_open_or_selected_stays_so(town, visit):
    page = visit(jobsOf(town, 'status:error job:receipt')[0])
    runs = page.locator('details.att')
    runs.nth(1).locator('summary').first.click()
    runs.nth(0).locator('summary').first.click()
    with page.expect_response(lambda answer: answer.status == 200, timeout=20_000), \
            town.app.transaction() as root:
        root['x'] = 1
    page.wait_for_timeout(300)
    assert [runs.nth(at).evaluate('each => each.open') for at in (0, 1)] == [False, True]


def test_the_tab_of_the_page_one_is_on_is_in_view(town, visit):
    page = visit('/system', viewport={'width': 320, 'height': 800})
    tab = page.locator('#nav [aria-current]')
    with page.expect_response(lambda answer: answer.status == 200, timeout=20_000), \
            town.app.transaction() as root:
        root['x'] = 1
    waitFor(lambda: tab.evaluate('each => each.getBoundingClientRect().right') <= 320, 20)


def test_light_and_dark(town, visit):
    page = visit('/', color_scheme='light')
    ground = 'getComputedStyle(document.body).backgroundColor'
    light = page.evaluate(ground)
    for expected in (True, False):      # light, as chosen; then dark
        with page.expect_navigation():
            page.keyboard.press('t')
        assert (page.evaluate(ground) == light) is expected
    assert visit('/', color_scheme='dark').evaluate(ground) != light


def test_all_works_without_javascript(town, visit):
    page = visit('/jobs?filter=status:error', java_script_enabled=False)
    page.locator('tbody .check').nth(0).check()
    page.locator('tbody .check').nth(1).check()
    assert page.locator('#bulk').is_visible()
    page.locator('#bulk button[value=remove]').click()
    assert 'Delete 2 jobs?' in page.locator('h1').inner_text()
    page.locator('button.danger-solid').click()
    assert '2 removed' in page.locator('.toast').inner_text()
    page.get_by_role('link', name='Remove status:error').click()
    page.locator('.query input[type=text]').fill('status:queued')
    page.locator('.filters button').click()
    page.locator('.query input[type=text]').fill('queue:feed')
    page.locator('.filters button').click()
    assert page.locator('tbody tr').count() == 3
    page.goto(page.url.partition('/jobs')[0] + '/queues')
    page.locator('summary', has_text='Pause').first.click()
    page.locator('text=for an hour').first.click()
    assert 'paused' in page.locator('.toast').inner_text()


def test_jobs_are_moved_without_javascript(town, visit):
    page = visit('/jobs?filter=status:queued queue:feed', java_script_enabled=False)
    number = page.locator('tbody tr').count()
    page.locator('tbody .check').nth(0).check()
    page.locator('#bulk button[value=move]').click()
    page.get_by_role('combobox', name='Queue').fill('night')
    page.get_by_role('button', name='Move 1 job').click()
    assert '1 moved' in page.locator('.toast').inner_text()
    assert page.locator('tbody tr').count() == number - 1


def test_what_is_half_written_stays_while_the_page_refreshes(town, visit):
    page = visit(f'/jobs/{town.ids["waiting"]}')
    asked = looksOf(page)
    page.get_by_label('Priority').fill('9')
    page.locator('h1').click()
    with town.app.transaction() as root:
        root['x'] = 1
    page.clock.run_for(5 * PACE)
    assert page.get_by_label('Priority').input_value() == '9'
    # it would ask at this pace when nothing was written
    page.get_by_label('Priority').fill('0')
    page.locator('h1').click()
    with page.expect_response(lambda answer: answer.status == 200, timeout=20_000):
        page.clock.run_for(PACE)
    assert len(asked) == 1
    page.get_by_label('Priority').fill('9')
    with page.expect_navigation():
        page.get_by_role('button', name='Change', exact=True).click()
    assert '1 changed' in page.locator('.toast').inner_text()
    assert '+9' in page.locator('dl.facts').first.inner_text()


def test_a_failed_job_runs_again_edited_by_its_page(town, visit):
    jobid = town.app.jobs['shop.mail.receipt'].enqueue('order-7').id
    town.post('/jobs/act', do='cancel', job=[jobid])
    page = visit(f'/jobs/{jobid}')
    page.get_by_label('Arguments, as in a call').fill("'order-9'")
    with page.expect_navigation():
        page.get_by_role('button', name='Enqueue it').click()
    assert '1 enqueued' in page.locator('.toast').inner_text()
    assert "'order-9'" in page.locator('dl.facts.code').inner_text()


@pytest.mark.slow
def test_progress_and_log_come_as_they_are(town, visit):
    from tests.web import stage
    with stage.Workers(f'sqlite:{town.app.place.partition(":")[2]}', town.app) as workers:
        page = visit(f'/jobs/{workers.jobs[0]}')
        waitFor(lambda: page.wait_for_timeout(200) or 'part 5 of 5' in page.inner_text('#main'), 20)
        assert page.locator('progress.wide').get_attribute('value') is not None
        page = visit('/')
        assert 'shop.index.reindex' in page.inner_text('#main')

